"""One cohort of good users and of such as have speech that cannot be used: the good ones do not notice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from fleet_runs import changed_outcomes, job_of
from odd_addresses import MISSING, NO_FILE, Odd, odd_audio, odd_folder, write_rows
from s3_server import S3Server
from toy_fleet import silent_base
from toy_speech import SAMPLE_RATE_HZ, make_utterances

from ds2ray import storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.config import DataConfig, ProbeAudio
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.tables.manifest import Utterance

NUM_GOOD = 60
LONG_S = 2400
LONG_RATE_HZ = 4000
DEAD = "cannot be reached"

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for manifests and audio, with pipes, folders and links in the place of files."""
    return odd_folder(tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="module")
def odd_addresses(folder: Path, s3_server: S3Server) -> Odd:
    """Addresses that no audio has, and why: by a name for each."""
    return odd_audio(folder) | {
        "bucket": ("s3://no-such-bucket-here/a.wav", f"{DEAD}, there is no such bucket"),
        "bad-bucket": ("s3://NO_SUCH/a.wav", f"{DEAD}, [Errno 22] Bad Request"),
        "no-bucket": ("s3://", MISSING),
        "object": (f"{s3_server.new_root()}/a.wav", MISSING),
    }


@pytest.fixture(scope="module")
def odd_manifests(folder: Path) -> Odd:
    """Addresses that no manifest has, or with files that are none, and why: by a name for each."""
    pq.write_table(pa.table({"audio": ["a.wav"] * 5, "transcript": ["ab"] * 5}), folder / "whole.parquet")
    whole = (folder / "whole.parquet").read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    (folder / "footer.parquet").write_bytes(whole[:footer] + b"\xff" * 32 + whole[footer + 32 :])
    (folder / "torn.parquet").write_bytes(whole[:100])
    (folder / "packed.csv.gz").write_bytes(b"\x1f\x8b and no more")
    for name in ("empty.csv", "empty.parquet"):
        (folder / name).touch()
    with (folder / "huge.csv").open("wb") as file:
        file.truncate(2**40)  # which takes no place
    return {
        "gone": ("gone.csv", MISSING),
        "folder": ("folder.csv", "is a directory"),
        "loop": ("loop.csv", "Too many levels of symbolic links"),
        "pipe": ("pipe.csv", NO_FILE),
        "device": ("/dev/zero", NO_FILE),
        "nul": ("a\0b.csv", "holds a NUL byte"),
        "name": (f"{'x' * 300}.csv", "File name too long"),
        "footer": ("footer.parquet", "not a readable Parquet table"),
        "torn": ("torn.parquet", "not a readable Parquet table"),
        "no-bytes": ("empty.csv", "the table is empty"),
        "no-parquet": ("empty.parquet", "not a readable Parquet table"),
        "packed": ("packed.csv.gz", "cannot be unpacked"),
        "huge": ("huge.csv", "is larger than the 4 GiB of a table at most"),
        "suffix": ("link.wav", "a table's name must end in"),
        "bucket": ("s3://no-such-bucket-here/m.csv", "there is no such bucket"),
        "scheme": ("foo://m.csv", "has the scheme foo"),
        "archive": ("zip://m.csv::a.zip", "has the scheme zip"),
        "http": ("http://127.0.0.1:9/m.csv", "has the scheme http"),
    }


def claimed(audio: str, count: int = 5, duration_s: float | None = 1.0) -> list[Utterance]:
    return [Utterance(f"u{number}", "", audio, duration_s, "ab", 0) for number in range(count)]


def write_table(folder: Path, speech: Mapping[str, Sequence[Utterance]], manifests: Mapping[str, str]) -> str:
    """Write a manifest of each user's speech, and a table of these and other manifests; those named sealed-… are so."""
    rows: list[dict[str, object]] = [{"user_id": user, "manifest": uri} for user, uri in manifests.items()]
    for user, utterances in speech.items():
        of_user: list[dict[str, object]] = [
            {"audio": u.audio, "duration_s": u.duration_s, "transcript": u.transcript} for u in utterances
        ]
        write_rows(folder / f"{user}.jsonl", of_user)
        rows.append({"user_id": user, "manifest": f"{user}.jsonl"})
    sealed = {"version": "1", "speech_s": 5.0, "num_utterances": 5}
    rows = [row | (sealed if str(row["user_id"]).startswith("sealed-") else {}) for row in rows]
    return write_rows(folder / "users.jsonl", rows)


@pytest.fixture(scope="module")
def users(folder: Path, odd_addresses: Odd, odd_manifests: Odd) -> str:
    """A table of 60 good users, of others with speech of no use, and of odd audio and manifests, sealed ones, too."""
    speech: dict[str, Sequence[Utterance]] = {}
    for number in range(NUM_GOOD + 2):
        (folder / str(number)).mkdir()
        speech[f"good-{number:02d}"] = make_utterances(folder / str(number), 5, seed=number)
    trusted, single = speech.popitem()[1], speech.popitem()[1][:1]
    nan = np.full(SAMPLE_RATE_HZ, np.nan, np.float32)
    soundfile.write(folder / "nan.wav", nan, SAMPLE_RATE_HZ, subtype="FLOAT")
    (folder / "empty.wav").touch()
    soundfile.write(folder / "long.flac", np.zeros(LONG_S * LONG_RATE_HZ, np.int16), LONG_RATE_HZ)
    speech |= {
        "nan": claimed(f"{folder}/nan.wav"),
        "empty": claimed(f"{folder}/empty.wav"),
        "long": claimed(f"{folder}/long.flac", 1, None),
        "single": single,
        "trusted": [*trusted, *claimed(f"{folder}/long.flac", 1)],
    }
    manifests: dict[str, str] = {}
    for sealed in ("", "sealed-"):
        speech |= {f"{sealed}audio-{name}": claimed(uri) for name, (uri, _) in odd_addresses.items()}
        manifests |= {f"{sealed}table-{name}": uri for name, (uri, _) in odd_manifests.items()}
    return write_table(folder, speech, manifests)


def test_sixty_good_users_among_all_that_can_be_odd(
    ray_cluster: str,
    s3_root: str,
    users: str,
    odd_addresses: Odd,
    odd_manifests: Odd,
    tmp_path: Path,
) -> None:
    root = silent_base(str(tmp_path / "store")).root
    # one more has a damaged pointer from earlier: it is trained, and its adapter cannot be published
    storage.write_bytes(f"{root}/users/trusted/current.json", b"{}")

    def run(run_id: str, max_failed_ratio: float, **data: Any) -> tuple[int, dict[str, Outcome]]:
        job = job_of(root, users, run_id, num_epochs=2, max_cohort_users=200, max_failed_ratio=max_failed_ratio)
        # what a manifest says of durations is believed
        job = replace(job, data=DataConfig(probe_audio=ProbeAudio.missing, **data))
        return adapt.run(job), changed_outcomes(root, run_id)

    code, rows = run("loose", max_failed_ratio=0.7)
    assert code == 0
    good = {user: rows.pop(user) for user in list(rows) if user.startswith("good-")}
    assert len(good) == NUM_GOOD
    assert {row.status for row in good.values()} <= {Status.adapted, Status.kept_previous}
    assert {(row.utterances_used, row.utterances_dropped) for row in good.values()} == {(5, 0)}
    trusted = rows.pop("trusted")  # what is too long is left out when it is read
    assert trusted.status is Status.failed
    assert (trusted.utterances_used, trusted.utterances_dropped) == (5, 1)
    usual = {user: rows.pop(user) for user in ("nan", "empty", "long", "single")}
    assert {user: (row.status, row.reason, row.unusable) for user, row in usual.items()} == {
        user: (Status.skipped_no_data, f"{used} usable utterances, at least 4 are needed{why}", unusable)
        for user, used, why, unusable in [
            ("nan", 0, " (5 × holds samples that are not finite)", True),
            ("empty", 0, " (5 × audio is empty)", True),
            ("long", 0, " (1 × duration_s longer than 30 s)", False),
            ("single", 1, "", False),
        ]
    }
    expected = {f"audio-{name}": why for name, (_, why) in odd_addresses.items()}
    expected |= {f"table-{name}": why for name, (_, why) in odd_manifests.items()}
    expected |= {f"sealed-{user}": why for user, why in expected.items()}
    assert rows.keys() == expected.keys()
    assert [(user, rows[user].reason) for user, why in expected.items() if why not in rows[user].reason] == []
    unreadable = {user for user in rows if user.startswith("sealed-table")}
    assert {user for user, row in rows.items() if row.status is Status.failed} == unreadable
    assert {user for user, row in rows.items() if row.unusable} == rows.keys() - unreadable
    cohorts = storage.read_table(f"{root}/runs/loose/plan.parquet")["cohort"].to_pylist()
    assert {cohort for cohort in cohorts if cohort is not None} == {0}

    # the good ones are left alone, the others are tried again, and now they are too many; roots refuse some of them
    code, rows = run("strict", max_failed_ratio=0.0, allowed_roots=[str(Path(users).parent)])
    assert code == 3
    assert rows.keys() == {"trusted", *usual, *expected}
    outside = {user for user, row in rows.items() if "outside the root of its manifest" in row.reason}
    assert {"audio-outside", "audio-link", "audio-device", "audio-bucket", "sealed-audio-link"} <= outside
    assert "outside of data.allowed_roots" in rows["table-bucket"].reason
    assert not {"audio-nul", "audio-loop", "audio-name", "table-pipe"} & outside
    summary = storage.read_json(f"{root}/runs/strict/summary.json")
    assert len(summary["failures"]) == len(summary["unusable_causes"]) == 10  # the most frequent ones
    assert summary["unusable"] == len(expected) - len(unreadable) + 2
    assert summary["statuses"]["unchanged"] == NUM_GOOD
    assert summary["unchanged_with_adapter"] == sum(row.status is Status.adapted for row in good.values())
