"""jobs/evaluate.py: systems on a manifest, to the terminal and to files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_runs import Finished, RandomBase, random_weights, run_job_here

from ds2ray import Transcriber
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.metrics import Score
from ds2ray.model.stored import publish_base
from ds2ray.recognition.calibrating import confidence_error
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest

ADAPTED = ("fiona", "tony")


@pytest.fixture(scope="module")
def utterances(small_corpus: DemoCorpus) -> list[Utterance]:
    """The test sentences of all eight users, two each."""
    return read_manifest(small_corpus.test_manifest).utterances


@pytest.fixture(scope="module")
def manifest(utterances: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Their manifest with a column `source`, and with a row whose audio is not there."""
    path = tmp_path_factory.mktemp("evaluated") / "test.csv"
    gone = Utterance("gone", "fiona", str(path.parent / "gone.wav"), 1.0, "tea", 0)
    write_manifest(str(path), [*utterances, gone], audio_relative=False)
    header, *lines = path.read_text().splitlines()
    rows = [f"{line},{'phone' if number % 2 else ''}" for number, line in enumerate(lines)]
    path.write_text("\n".join([f"{header},source", *rows, ""]))
    return str(path)


def evaluated(store: str, manifest: str, folder: Path, *argv: str) -> tuple[Finished, dict[str, Any]]:
    done = run_job_here("evaluate", manifest, f"storage.root={store}", f"output_dir={folder}", *argv)
    assert (done.code, done.err) == (0, "")
    return done, json.loads((folder / "evaluation.json").read_text())


def scores(transcriber: Transcriber, utterances: list[Utterance], hypotheses: list[Hypothesis]) -> Score:
    return transcriber.score([u.transcript for u in utterances], hypotheses)


def test_the_base_and_its_adapters(
    store: str, manifest: str, utterances: list[Utterance], small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    options = ("by=[source,age]", "num_others=3", f"users={small_corpus.users_csv}")
    mistaken = run_job_here("evaluate", manifest, f"storage.root={store}", f"output_dir={tmp_path}", *options)
    assert mistaken.code == 2
    assert f"by: {manifest} has no column age" in mistaken.err
    assert list(tmp_path.iterdir()) == []

    done, found = evaluated(store, manifest, tmp_path, "by=[source]", *options[1:])
    transcriber = Transcriber.open(store)
    alone = transcriber.transcribe_utterances(utterances, use_adapters=False)
    adapted = transcriber.transcribe_utterances(utterances)
    assert [system["name"] for system in found["systems"]] == ["base", "adapters"]
    assert found["total"]["utterances"] == len(utterances) == 16
    for name, hypotheses in (("base", alone), ("adapters", adapted)):
        score = scores(transcriber, utterances, hypotheses)
        for metric, count in (("wer", score.words), ("cer", score.characters)):
            told = found["total"]["systems"][name][metric]
            assert told["rate"] == pytest.approx(count.rate())
            kinds = ("substitutions", "deletions", "insertions", "reference_length")
            assert [told[kind] for kind in kinds] == [getattr(count, kind) for kind in kinds]
            assert told["interval"][0] <= told["rate"] <= told["interval"][1]
    assert found["total"]["drawn"] == "users"
    assert set(found["calibration"]) == {"base", "adapters"}
    for name, hypotheses in (("base", alone), ("adapters", adapted)):
        error = confidence_error(transcriber, [u.transcript for u in utterances], hypotheses)
        assert found["calibration"][name]["error"] == pytest.approx(error)
        assert found["calibration"][name]["num_words"] == sum(len(h.words) for h in hypotheses)
        assert not found["calibration"][name]["is_calibrated"]
    assert "confidence of words, base: expected calibration error" in done.out
    assert "with the speaker's own adapter in 4 of 16 utterances" in found["systems"][1]["description"]
    assert all(system["speed"] > 0 for system in found["systems"])

    by_user = {group["name"]: group for group in found["by"]["user_id"]}
    assert set(by_user) == set(small_corpus.user_ids)
    for user, group in by_user.items():
        rows = [n for n, utterance in enumerate(utterances) if utterance.user_id == user]
        own = scores(transcriber, [utterances[n] for n in rows], [adapted[n] for n in rows])
        assert group["systems"]["adapters"]["wer"]["rate"] == pytest.approx(own.words.rate())
        if user not in ADAPTED:
            assert group["compared"][0]["wer"]["difference"] == 0
    assert {group["name"]: group["utterances"] for group in found["by"]["source"]} == {"phone": 8, "": 8}
    assert set(found["minutes_of_speech"]) == set(small_corpus.user_ids)

    others = found["other_peoples_speech"]
    assert [group["name"] for group in others["by_adapter"]] == list(ADAPTED)
    assert [group["utterances"] for group in others["by_adapter"]] == [3, 3]
    assert others["total"]["compared"][0]["cer"]["difference"] != 0

    lines = done.out.splitlines()
    assert lines[0].startswith(f"left out: {manifest}:18: id=gone user=fiona ")
    assert found["notes"][0] == lines[0]
    assert "adapters: base alone for 2: user winston has no adapter" in lines
    assert lines[-1] == f"wrote {tmp_path}/evaluation.json and {tmp_path}/evaluation.html"
    assert (tmp_path / "evaluation.html").read_text().count("<img ") == 3


def test_another_base(
    store: str,
    manifest: str,
    utterances: list[Utterance],
    small_corpus: DemoCorpus,
    random_base: RandomBase,
    tmp_path: Path,
) -> None:
    other = random_weights(small_corpus, seed=1)
    uri = publish_base(Store(str(tmp_path / "other")), other, run_id="other", metrics={})
    done, found = evaluated(store, manifest, tmp_path, f"against={uri}", "num_others=0", "vad=off")
    assert [system["name"] for system in found["systems"]] == ["base", "adapters", "against"]
    assert [(pair["before"], pair["after"]) for pair in found["users"]] == [
        ("against", "adapters"),
        ("base", "adapters"),
    ]
    assert found["systems"][2]["description"] == f"base {other.base_id}, greedy decoding, alone"
    assert found["other_peoples_speech"] is None
    transcriber = Transcriber.open(str(tmp_path / "other"), vad="off")
    score = scores(transcriber, utterances, transcriber.transcribe_utterances(utterances))
    assert found["total"]["systems"]["against"]["wer"]["rate"] == pytest.approx(score.words.rate())
    assert (
        f"against: base alone for 2: the adapter of user fiona belongs to base {random_base.base.base_id}" in done.out
    )


def test_another_decoder_is_compared_with_greedy_decoding(
    store: str, manifest: str, utterances: list[Utterance], tmp_path: Path
) -> None:
    _, found = evaluated(store, manifest, tmp_path, "decode=beam", "decode.beam_width=4", "num_others=0")
    assert [system["name"] for system in found["systems"]] == ["base", "adapters", "greedy"]
    assert [(pair["before"], pair["after"]) for pair in found["users"]] == [
        ("greedy", "adapters"),
        ("base", "adapters"),
    ]
    assert ["beam decoding" in system["description"] for system in found["systems"]] == [True, True, False]
    transcriber = Transcriber.open(store)
    score = scores(transcriber, utterances, transcriber.transcribe_utterances(utterances))
    assert found["total"]["systems"]["greedy"]["cer"]["rate"] == pytest.approx(score.characters.rate())


def test_one_user_for_a_manifest_without_users_and_nobody_with_an_adapter(
    store: str, utterances: list[Utterance], tmp_path: Path
) -> None:
    nobodys = [replace(utterance, user_id="") for utterance in utterances[:3]]
    write_manifest(str(tmp_path / "test.csv"), nobodys, audio_relative=False)
    _, alone = evaluated(store, str(tmp_path / "test.csv"), tmp_path)
    assert [system["name"] for system in alone["systems"]] == ["base"]
    assert (alone["users"], alone["total"]["users"], alone["total"]["compared"]) == ([], 0, [])
    _, fionas = evaluated(store, str(tmp_path / "test.csv"), tmp_path, "user=fiona")
    assert [group["name"] for group in fionas["by"]["user_id"]] == ["fiona"]
    assert fionas["total"]["compared"][0]["after"] == "adapters"
    assert fionas["other_peoples_speech"] is None  # there are no others


def test_characters_that_the_base_cannot_write_are_errors_and_told(
    store: str, utterances: list[Utterance], tmp_path: Path
) -> None:
    rows = [replace(utterances[0], transcript="7 teas"), replace(utterances[1], transcript=" ")]
    write_manifest(str(tmp_path / "test.csv"), rows, audio_relative=False)
    done, found = evaluated(store, str(tmp_path / "test.csv"), tmp_path)
    assert found["total"]["utterances"] == 1
    assert found["total"]["systems"]["base"]["wer"]["reference_length"] == 2
    assert "characters of transcripts that the base cannot write, which count as errors: '7'" in done.out
    assert "transcript=' ': is empty" in done.out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "manifest is missing"),
        (["{folder}/none.csv"], "{folder}/none.csv: there is no such file"),
        (["{test}", "base=0123456789abcdef"], "no base '0123456789abcdef' in "),
        (["{test}", "against=0123456789abcdef"], "no base '0123456789abcdef' in "),
        (["{test}", "against={folder}/none.pt"], "{folder}/none.pt: no such file"),
        (["{test}", "users={folder}/none.csv"], "{folder}/none.csv: there is no such file"),
        (["{test}", "num_others=-1"], "num_others=-1 is not possible"),
        (["{test}", "by=[sauce]"], "(did you mean source?)"),
    ],
)
def test_mistakes_are_told_before_anything_is_recognised(
    argv: list[str], told: str, store: str, manifest: str, tmp_path: Path
) -> None:
    names = {"folder": str(tmp_path), "test": manifest}
    given = [argument.format(**names) for argument in argv]
    done = run_job_here("evaluate", *given, f"storage.root={store}", f"output_dir={tmp_path}/out")
    assert done.code == 2
    assert told.format(**names) in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_manifest_is_refused_unless_that_is_meant(store: str, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("audio,transcript\n")
    argv = [f"{tmp_path}/test.csv", f"storage.root={store}", f"output_dir={tmp_path}/out"]
    assert run_job_here("evaluate", *argv).code == 2
    done = run_job_here("evaluate", *argv, "data.allow_empty=true")
    assert (done.code, done.out) == (0, f"{tmp_path}/test.csv: nothing to evaluate\n")


def test_files_that_nobody_can_decode_are_told(store: str, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF" + b"\0" * 40)
    (tmp_path / "test.csv").write_text("audio,transcript,duration_s\nbad.wav,on,1\n")
    argv = [f"{tmp_path}/test.csv", f"storage.root={store}", f"output_dir={tmp_path}/out"]
    done = run_job_here("evaluate", *argv)
    assert (done.code, "no usable utterance" in done.err) == (2, True)
    late = run_job_here("evaluate", *argv, "data.probe_audio=none")
    assert late.code == 2
    assert "none of it could be recognised" in late.err
    assert "left out: 1 that base could not read" in late.err
    assert not (tmp_path / "out").exists()
