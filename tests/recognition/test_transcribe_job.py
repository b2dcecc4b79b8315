"""jobs/transcribe.py: files and manifests, to the terminal and to tables."""

import csv
import io
import json
from pathlib import Path

import pytest
from fleet_runs import read_rows, run_job, run_job_here
from recognising import texts

from ds2ray import Transcriber, storage
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.metrics import word_errors
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest
from ds2ray.wording.display import displayed


def rows_of(path: Path) -> list[dict[str, object]]:
    """What the job wrote, whichever the format, with words decoded."""
    if path.suffix == ".jsonl":
        return read_rows(path)
    if path.suffix == ".parquet":
        return storage.read_table(str(path)).to_pylist()
    rows: list[dict[str, object]] = []
    for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
        rows.append({**row, "score": float(row["score"]), "words": json.loads(row["words"])})
    return rows


class TestJob:
    @pytest.mark.process
    def test_files_to_the_terminal(self, store: str, audio: list[str], tmp_path: Path) -> None:
        missing = str(tmp_path / "none.wav")
        done = run_job("transcribe", *audio[:2], missing, "user=fiona", f"storage.root={store}")
        assert (done.code, done.err) == (0, "")
        expected = Transcriber.open(store).transcribe(audio[:2], user="fiona")
        assert done.out.splitlines() == [
            *(f"{path}\t{heard.text}" for path, heard in zip(audio, expected, strict=False)),
            f"{missing}\tERROR: there is no such file",
            "2 with the speaker's adapter, 0 by the base alone, 1 not readable",
        ]

    def test_it_fails_where_nothing_can_be_read(self, store: str, tmp_path: Path) -> None:
        done = run_job_here("transcribe", str(tmp_path / "none.wav"), f"storage.root={store}")
        assert done.code == 2
        assert "Traceback" not in done.err

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
    def test_a_manifest_to_a_table_with_errors_counted(
        self, store: str, small_corpus: DemoCorpus, tmp_path: Path, suffix: str
    ) -> None:
        utterances = read_manifest(small_corpus.test_manifest).utterances[:6]
        users = [utterance.user_id for utterance in utterances]
        assert users == ["fiona"] * 2 + ["winston"] * 2 + ["beatrice"] * 2
        manifest, output = str(tmp_path / "test.csv"), tmp_path / f"heard{suffix}"
        write_manifest(manifest, [*utterances, Utterance("gone", "fiona", str(tmp_path / "gone.wav"), 1.0, "tea", 0)])
        done = run_job_here("transcribe", f"manifest={manifest}", f"storage.root={store}", f"output={output}")
        assert (done.code, done.err) == (0, "")

        transcriber = Transcriber.open(store)
        expected = transcriber.transcribe_utterances(utterances)
        rows = rows_of(output)
        assert [row["utterance_id"] for row in rows] == [u.utterance_id for u in utterances]
        assert [row["text"] for row in rows] == texts(expected)
        assert [row["words"] for row in rows] == [h.to_row()["words"] for h in expected]
        assert [row["adapter"] for row in rows] == [h.adapter for h in expected]

        lines = done.out.splitlines()
        assert lines[0].startswith(f"left out: {manifest}:8: id=gone user=fiona ")
        assert f"wrote 6 hypotheses to {output}" in lines
        assert sum(line.startswith("confidence of words is not calibrated") for line in lines) == 1
        assert "2 with the speaker's adapter, 4 by the base alone, 0 not readable" in lines
        assert "  base alone for 2: user winston has no adapter" in lines
        alone = transcriber.transcribe_utterances(utterances, use_adapters=False)
        wers = []
        for hypotheses in (alone, expected):
            counts = [word_errors(u.transcript, h.text) for u, h in zip(utterances, hypotheses, strict=True)]
            errors = sum(count.substitutions + count.deletions + count.insertions for count in counts)
            wers.append(errors / sum(count.reference_length for count in counts))
        assert lines[-1].startswith(f"on 6 utterances with transcripts: base WER {wers[0]:.1%}, CER ")
        assert f"; with adapters WER {wers[1]:.1%}, CER " in lines[-1]

    def test_one_user_for_a_manifest_without_transcripts(self, store: str, audio: list[str], tmp_path: Path) -> None:
        manifest = tmp_path / "files.csv"
        manifest.write_text("audio\n" + "".join(f"{path}\n" for path in audio))
        done = run_job_here("transcribe", f"manifest={manifest}", "user=tony", f"storage.root={store}")
        assert done.code == 0
        heard = Transcriber.open(store).transcribe(audio, user="tony")
        assert [line.split("\t")[1] for line in done.out.splitlines()[: len(audio)]] == texts(heard)
        assert "WER" not in done.out

    def test_an_unknown_format(self, store: str, audio: list[str]) -> None:
        done = run_job_here("transcribe", audio[0], f"storage.root={store}", "output=heard.txt")
        assert (done.code, "the name must end in .jsonl, .csv, .parquet" in done.err) == (2, True)

    def test_text_is_shown_with_capital_letters(self, store: str, audio: list[str], tmp_path: Path) -> None:
        output = tmp_path / "heard.jsonl"
        settings = ("user=fiona", f"storage.root={store}", f"output={output}", "text.display=true")
        done = run_job_here("transcribe", *audio[:2], *settings)
        assert (done.code, done.err) == (0, "")
        heard = Transcriber.open(store).transcribe(audio[:2], user="fiona")
        assert [row["text"] for row in rows_of(output)] == [displayed(text, "en") for text in texts(heard)]
        assert [row["words"] for row in rows_of(output)] == [h.to_row()["words"] for h in heard]
