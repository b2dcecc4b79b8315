"""Benchmarks of real people: how sentences and people are kept apart, what is counted, and a whole one at toy size."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from toy_speech import make_utterances

from benchmarks.real_people import people
from benchmarks.real_people.gains import figures
from benchmarks.real_people.work import BASE, FULL, PersonScores, Scores, sentences_apart
from ds2ray.metrics import ErrorCount, Score
from ds2ray.tables.manifest import Utterance, write_manifest


def said(text: str) -> Utterance:
    return Utterance(f"id-{text}", "ann", "a.wav", 1.0, text, 1)


def scores(*errors: int) -> Scores:
    """Sentences of ten words and as many characters, with so many errors each."""
    return tuple(Score(ErrorCount(count, 0, 0, 10), ErrorCount(count, 0, 0, 10)) for count in errors)


def test_a_sentence_that_was_trained_on_tests_nothing() -> None:
    utterances = [said(text) for text in ("one", "two", "one", "three", "four", "five")]
    adapt, test = sentences_apart(utterances, 2, 2, frozenset({"four"}))
    assert [u.transcript for u in adapt] == ["one", "two"]
    assert [u.transcript for u in test] == ["three", "five"]


def person(name: str, base: Scores, default: Scores, full: Scores) -> PersonScores:
    own = {BASE: base, "default": default, FULL: full}
    return PersonScores(name, own, {BASE: scores(1), "default": scores(2), FULL: scores(3)}, frozenset({"default"}))


def test_figures() -> None:
    found = figures(
        [
            person("ann", scores(8, 8), scores(4, 4), scores(2, 2)),
            person("bob", scores(6, 6), scores(7, 6), scores(6, 6)),
        ],
        ["default"],
    )
    assert (found["people"], found["words"]) == (2, 40)
    assert found["cer_base"][0] == pytest.approx(70)  # type: ignore[index]
    assert found["wer_default"][0] == pytest.approx(52.5)  # type: ignore[index]
    low, high = found["cer_base"][1:]  # type: ignore[index]
    assert (low, high) == (60, 80)
    recipe = found["recipes"]["default"]  # type: ignore[index]
    assert (recipe["better"], recipe["equal"], recipe["worse"], recipe["published"]) == (1, 0, 1, 2)
    assert recipe["worse_beyond_chance"] == 0  # one sentence of two is no more than chance
    assert recipe["gain_recovered"] == pytest.approx((8 - 1) / 12)
    assert (recipe["cer_of_others"][0], recipe["cer_of_others_by_base"][0]) == (20, 10)


def test_bars() -> None:
    good = {"recipes": {"a": {"gain_recovered": 0.9, "worse_beyond_chance": 0}}, "cer_base": [38.0, 30.0, 40.0]}
    bad = {"recipes": {"a": {"gain_recovered": None, "worse_beyond_chance": 1}}, "cer_base": [38.1, 30.0, 40.0]}
    assert people.falls_short(good, "a") == []
    assert people.falls_short(bad, "a") == ["gain_recovered", "nobody_worse", "cer_base"]


def make_corpus(folder: Path, num_people: int) -> None:
    rows = []
    for number in range(num_people):
        name = f"p{number}"
        utterances = make_utterances(folder / name, 8, seed=number, pitch=0.8 + 0.05 * number)
        write_manifest(str(folder / f"{name}.csv"), utterances)
        rows.append(name)
    with (folder / "users.csv").open("w", newline="") as table:
        csv.writer(table).writerows([["user_id", "manifest"], *([name, f"{name}.csv"] for name in rows)])
    with (folder / "speakers.csv").open("w", newline="") as table:
        ages = np.arange(num_people) + 6
        csv.writer(table).writerows([["user_id", "age"], *zip(rows, ages.tolist(), strict=True)])


@pytest.mark.process
def test_a_fold_of_a_toy_corpus(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_corpus(tmp_path, 10)
    settings = ["model.rnn_hidden_dim=16", "train.num_epochs=1", "audio.sample_rate_hz=8000", "model.time_stride=2"]
    people.main(
        [
            *("--speech", str(tmp_path), "--adapt-sentences", "6", "--test-sentences", "2", "--workers", "1"),
            *(
                "--recipes",
                "default=num_epochs=1,cross_validate_below=0",
                "--full-rates",
                "0.001",
                "--voices-hours",
                "0",
            ),
            *("--train", *settings, "--cache", str(tmp_path / "cache")),
        ]
    )
    line = json.loads(capfd.readouterr().out)
    assert (line["benchmark"], line["people"]) == ("people", 2)
    assert line["words"] > 0
    assert {*line["by_age"]} <= {"children", "adults"}
    assert sum(group["people"] for group in line["by_age"].values()) == 2
    for system in ("base", "default", "full"):
        rate, low, high = line[f"cer_{system}"]
        assert low <= rate <= high
