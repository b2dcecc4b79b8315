"""jobs/language_model.py: from texts and transcripts to a model beside its base, with its perplexity."""

import shutil
from pathlib import Path

import pytest
from fleet_runs import run_job_here

from ds2ray.store import Store, read_language_model

STORED = Path(__file__).resolve().parents[1] / "fixtures" / "stored"
BASE = "3ffd65016769353c"


@pytest.fixture
def root(tmp_path: Path) -> str:
    shutil.copytree(STORED / "store", tmp_path / "store")
    return f"storage.root={tmp_path / 'store'}"


def test_texts_and_manifests_together(root: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("bad dad\n" * 30 + "café bad\n")
    (tmp_path / "b.csv").write_text("audio,transcript\nx.wav,Dad.\ny.wav,a bad 1\n")
    done = run_job_here("language_model", str(tmp_path / "a.txt"), str(tmp_path / "b.csv"), root, "lm.order=2")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[:2] == [f"{tmp_path}/a.txt: 31 sentences", f"{tmp_path}/b.csv: 2 sentences"]
    assert lines[2].startswith("2 of 66 words hold characters that the base cannot write")
    assert "'café', '1'" in lines[2]
    assert lines[3].startswith("33 sentences, 3 different words: 6 + 11 n-grams; perplexity 1.")
    record, _ = read_language_model(Store(str(tmp_path / "store")), BASE)
    assert lines[4].startswith(f"wrote {tmp_path}/store/bases/{BASE}/lm  version {record.version}")
    assert (record.unit, record.num_ngrams, record.num_sentences) == ("word", [6, 11], 33)
    assert record.perplexity is not None
    assert 1 < record.perplexity < 2


def test_the_same_texts_give_the_same_version(root: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("bad dad\na bad\n")
    (tmp_path / "b.txt").write_text("a bad\nbad dad\n")
    versions = []
    for name in "ab":
        assert run_job_here("language_model", str(tmp_path / f"{name}.txt"), root).code == 0
        versions.append(read_language_model(Store(str(tmp_path / "store")), BASE)[0].version)
    assert versions[0] == versions[1]


def test_a_dry_run_measures_and_writes_nothing(root: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("bad dad\n" * 3)
    done = run_job_here("language_model", str(tmp_path / "a.txt"), root, "lm.unit=token", "--dry-run")
    assert done.code == 0
    assert "too few sentences to measure the perplexity" in done.out
    assert "different tokens: 7 +" in done.out  # of a, b, d and the space, beside the three special ones
    assert not (tmp_path / "store" / "bases" / BASE / "lm").exists()


def test_recognition_takes_the_model_that_is_beside_its_base(root: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ab\nbab\n")
    files = [str(STORED / name) for name in ("3-010.wav", "3-011.wav")]
    heard = run_job_here("transcribe", *files, root, "vad=off", "decode=lm", "decode.lexicon=model")
    assert heard.code == 2
    assert f"base {BASE} has no language model" in heard.err
    assert run_job_here("language_model", str(tmp_path / "a.txt"), root).code == 0
    heard = run_job_here("transcribe", *files, root, "vad=off", "decode=lm", "decode.lexicon=model")
    assert (heard.code, heard.err) == (0, "")
    words = [line.partition("\t")[2].split() for line in heard.out.splitlines()[:2]]
    assert {word for line in words for word in line} <= {"ab", "bab"}
    assert any(words)


def test_words_that_the_base_cannot_write_are_told(root: str, tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-1 ab\n-1 xyz\n\n\\end\\\n")
    argv = ("vad=off", "decode=beam", f"decode.language_model={tmp_path}/a.arpa")
    heard = run_job_here("transcribe", str(STORED / "3-010.wav"), root, *argv)
    assert heard.code == 0
    told = "never heard, as the base cannot write them: 1 of the language model's words: 'xyz'"
    assert told in heard.out.splitlines()


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "texts is missing: python jobs/language_model.py <texts and manifests>"),
        (["{folder}/none.txt"], "{folder}/none.txt: there is no such file"),
        (["{folder}/empty.txt"], "there are no sentences"),
        (["{folder}/a.txt", "base=none"], "no base 'none' in "),
        (["{folder}/a.txt", "base={folder}/model.pt"], "published beside a base of a store"),
        (["{folder}/a.txt", "lm.order=11"], "lm.order=11 is not possible: 0 to 10"),
        (["{folder}/a.txt", "lm.min_counts=[2,1]"], "lm.min_counts=[2, 1] is not possible"),
        (["{folder}/bad.csv"], "{folder}/bad.csv: 1 row cannot be used"),
    ],
)
def test_mistakes_are_told(root: str, tmp_path: Path, argv: list[str], told: str) -> None:
    (tmp_path / "a.txt").write_text("bad\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "bad.csv").write_text("utterance_id,audio,transcript\none,a.wav,bad\none,b.wav,bad\n")
    done = run_job_here("language_model", *(argument.format(folder=tmp_path) for argument in argv), root)
    assert done.code == 2
    assert told.format(folder=tmp_path) in done.err
    assert not (tmp_path / "store" / "bases" / BASE / "lm").exists()
