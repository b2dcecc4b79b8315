"""One cohort of good users and of such as have speech that cannot be used: the good ones do not notice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fleet_runs import changed_outcomes, job_of, write_users
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


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A manifest of 60 good users and four others, and of one whose manifest does not know how long its audio is."""
    folder = tmp_path_factory.mktemp("mixed")

    def claimed(name: str, duration_s: float | None) -> Utterance:
        return Utterance(name, "", str(folder / name), duration_s, "ab", 0)

    for number in range(5):
        nan = np.full(SAMPLE_RATE_HZ, np.nan, np.float32)
        soundfile.write(folder / f"nan-{number}.wav", nan, SAMPLE_RATE_HZ, subtype="FLOAT")
        (folder / f"empty-{number}.wav").touch()
    soundfile.write(folder / "long.flac", np.zeros(LONG_S * LONG_RATE_HZ, np.int16), LONG_RATE_HZ)
    speech = {}
    for number in range(NUM_GOOD + 2):
        (folder / str(number)).mkdir()
        speech[f"good-{number:02d}"] = make_utterances(folder / str(number), 5, seed=number)
    trusted, single = speech.popitem()[1], speech.popitem()[1][:1]
    bad = {
        "nan": [claimed(f"nan-{number}.wav", 1.0) for number in range(5)],
        "empty": [claimed(f"empty-{number}.wav", 1.0) for number in range(5)],
        "long": [claimed("long.flac", None)],
        "single": single,
        "trusted": [*trusted, replace(claimed("long.flac", 1.0), utterance_id="believed")],
    }
    return write_users(str(folder / "users.parquet"), {**speech, **bad})


def test_sixty_good_users_and_four_that_say_why(ray_cluster: str, users: str, tmp_path: Path) -> None:
    root = silent_base(str(tmp_path / "store")).root
    # one more has a damaged pointer from earlier: it is trained, and its adapter cannot be published
    storage.write_bytes(f"{root}/users/trusted/current.json", b"{}")

    def run(run_id: str, max_failed_ratio: float) -> tuple[int, dict[str, Outcome]]:
        job = job_of(root, users, run_id, num_epochs=2, max_cohort_users=100, max_failed_ratio=max_failed_ratio)
        # what a manifest says of durations is believed
        job = replace(job, data=DataConfig(probe_audio=ProbeAudio.missing))
        return adapt.run(job), changed_outcomes(root, run_id)

    code, rows = run("loose", max_failed_ratio=0.02)
    assert code == 0
    bad = {user: row for user, row in rows.items() if not user.startswith("good-")}
    good = {user: row for user, row in rows.items() if user not in bad}
    assert len(good) == NUM_GOOD
    assert {row.status for row in good.values()} <= {Status.adapted, Status.kept_previous}
    assert {(row.utterances_used, row.utterances_dropped) for row in good.values()} == {(5, 0)}
    trusted = bad.pop("trusted")  # what is too long is left out when it is read
    assert trusted.status is Status.failed
    assert (trusted.utterances_used, trusted.utterances_dropped) == (5, 1)
    assert {user: (row.status, row.reason) for user, row in bad.items()} == {
        user: (Status.skipped_no_data, f"{used} usable utterances, at least 4 are needed{why}")
        for user, used, why in [
            ("nan", 0, " (5 × holds samples that are not finite)"),
            ("empty", 0, " (5 × audio is empty)"),
            ("long", 0, " (1 × duration_s longer than 30 s)"),
            ("single", 1, ""),
        ]
    }
    cohorts = storage.read_table(f"{root}/runs/loose/plan.parquet")["cohort"].to_pylist()
    assert {cohort for cohort in cohorts if cohort is not None} == {0}

    # only who failed is tried again; it fails again, and now a single failure is too many
    code, rows = run("strict", max_failed_ratio=0.0)
    assert code == 3
    assert [user for user, row in rows.items() if row.status is not Status.skipped_no_data] == ["trusted"]
    assert storage.read_json(f"{root}/runs/strict/summary.json")["failures"] == {rows["trusted"].reason: 1}
