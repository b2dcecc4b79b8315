"""Parts of a manifest: where they begin and end, what is gone on with, and what is refused."""

import random
from dataclasses import replace

import pytest

from ds2ray import storage
from ds2ray.config import ClusterConfig, DataConfig, SpreadConfig, TranscribeJob, Vad
from ds2ray.errors import ArtifactCorruptError, ConfigError
from ds2ray.recognition import parts as module
from ds2ray.recognition.parts import (
    ASSUMED_S,
    RECORD,
    ManifestPart,
    PartsDone,
    cut_into_parts,
    open_folder,
    parts_record,
)
from ds2ray.tables.manifest import Utterance


def utterances_of(durations_s: list[float | None]) -> list[Utterance]:
    return [Utterance(str(n), "ann", f"/{n}.wav", duration_s, "", n) for n, duration_s in enumerate(durations_s)]


def places(parts: list[ManifestPart]) -> list[tuple[int, int]]:
    return [(part.start, part.end) for part in parts]


def test_parts_are_cut_at_seconds_and_at_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert places(cut_into_parts(utterances_of([4.0, 4.0, 4.0, 30.0, 1.0]), 8.0)) == [(0, 2), (2, 4), (4, 5)]
    assert cut_into_parts([], 8.0) == []
    assert [part.seconds for part in cut_into_parts(utterances_of([None, 1.0]), 60.0)] == [ASSUMED_S + 1.0]
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    assert places(cut_into_parts(utterances_of([0.0] * 5), 8.0)) == [(0, 2), (2, 4), (4, 5)]


def test_every_utterance_is_in_one_part() -> None:
    draws = random.Random(0)
    for _ in range(50):
        utterances = utterances_of([draws.choice([None, draws.uniform(0, 40)]) for _ in range(draws.randrange(200))])
        parts = cut_into_parts(utterances, draws.uniform(0.1, 300))
        assert [i for part in parts for i in range(part.start, part.end)] == list(range(len(utterances)))
        assert [part.number for part in parts] == list(range(len(parts)))
        assert [part.name for part in parts] == sorted(part.name for part in parts)


JOB = TranscribeJob(manifest="m.csv", output="heard/")
ROWS = utterances_of([1.0, 2.0])
PARTS = cut_into_parts(ROWS, 1.0)


def record_of(job: TranscribeJob = JOB, rows: list[Utterance] = ROWS, base: str = "b") -> dict[str, object]:
    return parts_record(job, rows, cut_into_parts(rows, job.spread.part_s), base)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (record_of(replace(JOB, vad=Vad.off)), "vad"),
        (record_of(replace(JOB, max_segment_s=20.0)), "max_segment_s"),
        (record_of(replace(JOB, spread=SpreadConfig(part_s=9.0))), "part_s"),
        (record_of(base="another"), "base"),
        (record_of(rows=[ROWS[0], replace(ROWS[1], user_id="bob")]), "manifest"),
        (record_of(rows=[ROWS[1], ROWS[0]]), "manifest"),
        (record_of(rows=[ROWS[0], replace(ROWS[1], audio=b"RIFF")]), "manifest"),
    ],
)
def test_a_folder_of_something_else_is_refused(other: dict[str, object], named: str) -> None:
    folder = f"memory://parts/{named}-{id(other)}"
    assert open_folder(folder, record_of()) == set()
    with pytest.raises(ConfigError, match=f"with other {named}; name another folder"):
        open_folder(folder, other)


def test_a_folder_is_gone_on_with() -> None:
    folder = "memory://parts/gone-on"
    open_folder(folder, record_of())
    for name in (PARTS[1].name, "part-000000.parquet.tmp", "notes.txt"):
        storage.write_bytes(f"{folder}/{name}", b"x")
    elsewhere = replace(
        JOB,
        batch_s=9.0,
        spread=SpreadConfig(max_workers=3, from_s=0.0),
        cluster=ClusterConfig(address="local"),
        data=DataConfig(endpoint_url="http://other"),
    )
    labelled = [replace(row, transcript="now known", line=7) for row in ROWS]
    assert open_folder(folder, record_of(elsewhere, labelled)) == {1}


def test_parts_without_a_record_and_a_damaged_record_are_refused() -> None:
    storage.write_bytes("memory://parts/bare/part-000003.parquet", b"x")
    with pytest.raises(ConfigError, match="holds 1 parts, and no parts.json"):
        open_folder("memory://parts/bare", record_of())
    for number, content in enumerate((b"[]", b"{")):
        storage.write_bytes(f"memory://parts/damaged-{number}/{RECORD}", content)
        with pytest.raises(ArtifactCorruptError, match=RECORD):
            open_folder(f"memory://parts/damaged-{number}", record_of())


def test_progress_tells_how_long_it_takes() -> None:
    todo = [ManifestPart(number, 10 * number, 10 * number + 10, 100.0) for number in range(2, 6)]
    progress = PartsDone(todo, done_before=20, started_s=50.0)
    assert progress.facts(50.0) == ["0/4 parts", "20/60 utterances"]
    progress.within[2] = 0.5
    assert progress.share() == 0.125
    progress.finish(todo[0])
    assert progress.facts(60.0) == ["1/4 parts", "30/60 utterances", "10 × as fast as speech", "eta 30s"]
    for part in todo[1:]:
        progress.finish(part)
    assert progress.facts(90.0) == ["4/4 parts", "60/60 utterances", "10 × as fast as speech"]
    assert PartsDone([], 3, 0.0).share() == 1.0
