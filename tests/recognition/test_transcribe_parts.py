"""jobs/transcribe.py into a folder of parts, in this process."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from fleet_runs import run_job_here
from recognising import texts

from ds2ray import Transcriber, storage
from ds2ray.commands.transcribing import parts as transcribe_parts
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.tables.manifest import read_manifest, write_manifest
from ds2ray.wording.display import displayed


@pytest.fixture(scope="module")
def manifest(small_corpus: DemoCorpus, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four sentences of two users, with transcripts."""
    uri = str(tmp_path_factory.mktemp("manifest") / "test.csv")
    write_manifest(uri, read_manifest(small_corpus.test_manifest).utterances[:4], audio_relative=False)
    return uri


def rows_in(folder: Path) -> list[dict[str, object]]:
    names = sorted(path.name for path in folder.glob("part-*.parquet"))
    return [row for name in names for row in storage.read_table(str(folder / name)).to_pylist()]


def test_a_manifest_in_parts_is_as_in_one_table_and_is_gone_on_with(store: str, manifest: str, tmp_path: Path) -> None:
    argv = [manifest, f"storage.root={store}", f"output={tmp_path}/heard/", "spread.part_s=0.1"]
    first = run_job_here("transcribe", *argv)
    assert (first.code, first.err) == (0, "")
    expected = Transcriber.open(store).transcribe_utterances(read_manifest(manifest).utterances)
    assert [row["text"] for row in rows_in(tmp_path / "heard")] == texts(expected)
    lines = first.out.splitlines()
    assert f"wrote 4 hypotheses to {tmp_path}/heard, in 4 parts" in lines
    assert "2 with the speaker's adapter, 2 by the base alone, 0 not readable" in lines
    score = Transcriber.open(store).score([u.transcript for u in read_manifest(manifest).utterances], expected)
    assert lines[-1] == f"against the transcripts: WER {score.words.rate():.1%}, CER {score.characters.rate():.1%}"

    (tmp_path / "heard" / "part-000002.parquet").unlink()
    second = run_job_here("transcribe", *argv)
    assert second.code == 0
    assert f"{tmp_path}/heard: 3 of 4 parts are there already" in second.out
    assert second.out.splitlines()[1:] == lines
    assert [row["text"] for row in rows_in(tmp_path / "heard")] == texts(expected)

    other = run_job_here("transcribe", *argv, "max_segment_s=9")
    assert other.code == 2
    assert "holds parts of something else, with other max_segment_s" in other.err


def test_parts_with_texts_for_display_are_counted_as_they_were_heard(store: str, manifest: str, tmp_path: Path) -> None:
    argv = (manifest, f"storage.root={store}", "spread.part_s=3")
    plain = run_job_here("transcribe", *argv, f"output={tmp_path}/plain/")
    done = run_job_here("transcribe", *argv, f"output={tmp_path}/shown/", "text.display=true")
    assert (done.code, done.err) == (0, "")
    heard = [str(row["text"]) for row in rows_in(tmp_path / "plain")]
    assert [row["text"] for row in rows_in(tmp_path / "shown")] == [displayed(text, "en") for text in heard]
    assert [row["words"] for row in rows_in(tmp_path / "shown")] == [
        row["words"] for row in rows_in(tmp_path / "plain")
    ]
    assert done.out.splitlines()[-1] == plain.out.splitlines()[-1]
    assert done.out.splitlines()[-1].startswith("against the transcripts: WER ")
    other = run_job_here("transcribe", *argv, f"output={tmp_path}/plain/", "text.display=true")
    assert other.code == 2
    assert "holds parts of something else, with other text" in other.err


@pytest.mark.parametrize(
    ("settings", "on_ray"),
    [
        (["spread.from_s=0"], True),
        (["spread.from_s=3600"], False),
        (["spread.from_s=inf"], False),
        (["spread.from_s=0", "cluster=in_process"], False),
    ],
)
def test_ray_is_started_for_much_alone(
    store: str, manifest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], on_ray: bool
) -> None:
    chosen: list[bool] = []

    def noted(is_ray: bool) -> object:
        def recognise(*arguments: object) -> dict[int, str]:
            chosen.append(is_ray)
            return {0: "nothing was done"}

        return recognise

    monkeypatch.setattr(transcribe_parts, "_on_ray", noted(True))
    monkeypatch.setattr(transcribe_parts, "_here", noted(False))
    done = run_job_here("transcribe", manifest, f"storage.root={store}", f"output={tmp_path}/heard/", *settings)
    assert chosen == [on_ray]
    assert done.code == 75
    assert "1 of 1 parts could not be recognised; the others are kept: run it again" in done.err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["hello.wav", "output=heard/"], "a folder of parts is for a manifest"),
        (["manifest=m.csv", "output=heard.csv", "spread.part_s=9"], "spread.* is of no use without a folder"),
        (["manifest=m.csv", "output=heard"], "or in / for a folder of parts"),
        (["max_open=0", "hello.wav"], "max_open=0 is not possible: at least 1"),
        (["fresh_s=-1", "hello.wav"], "fresh_s=-1.0 is not possible"),
        (["spread.part_s=0", "hello.wav"], "spread.part_s=0.0 is not possible: above 0"),
    ],
)
def test_settings_that_cannot_be(store: str, argv: Sequence[str], says: str) -> None:
    done = run_job_here("transcribe", *argv, f"storage.root={store}")
    assert done.code == 2
    assert says in done.err


def test_much_audio_without_a_folder_is_told_what_a_folder_brings(store: str, manifest: str, tmp_path: Path) -> None:
    done = run_job_here(
        "transcribe", manifest, f"storage.root={store}", f"output={tmp_path}/heard.csv", "spread.from_s=1"
    )
    assert done.code == 0
    assert "h of audio are recognised in this process, as one piece of work; with a folder" in done.out
