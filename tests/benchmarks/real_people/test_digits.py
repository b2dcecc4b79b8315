"""The benchmark of spoken digits: how takes are divided and joined, and a whole one at toy size."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.real_people import digits
from ds2ray.sound.audio import read_waveform
from ds2ray.tables.manifest import Utterance, write_manifest

WORDS = ("one", "two")


def make_takes(folder: Path, people: tuple[str, ...], count: int) -> list[Utterance]:
    """Takes of tones, one pitch for a word, with faint noise after them."""
    takes: list[Utterance] = []
    draws = np.random.default_rng(0)
    for number, name in enumerate(people):
        for word, hz in zip(WORDS, (400, 900), strict=True):
            for take in range(count):
                seconds = np.arange(1600) / digits.RATE_HZ
                tone = 0.5 * np.sin(2 * np.pi * hz * (1 + 0.1 * number) * seconds)
                waveform = np.concatenate([tone, 1e-3 * draws.standard_normal(400)]).astype(np.float32)
                path = folder / f"{name}-{word}-{take}.wav"
                soundfile.write(path, waveform, digits.RATE_HZ)
                takes.append(Utterance(path.stem, name, str(path), 0.25, word, len(takes) + 1))
    return takes


def test_no_take_is_in_two_parts(tmp_path: Path) -> None:
    takes = make_takes(tmp_path, ("ann",), 10)
    test, rest = digits.divided(takes, 0.2)
    assert sorted(take.utterance_id for take in [*test, *rest]) == sorted(take.utterance_id for take in takes)
    assert [sum(take.transcript == word for take in test) for word in WORDS] == [2, 2]


def test_strings_are_takes_with_pauses_of_their_own_background(tmp_path: Path) -> None:
    takes = make_takes(tmp_path, ("ann",), 3)
    strings = digits.strings(takes, "ann-test", count=4)
    assert strings == digits.strings(takes, "ann-test", count=4)
    for one in strings:
        words = one.transcript.split()
        assert digits.DIGITS[0] <= len(words) <= digits.DIGITS[1]
        waveform = read_waveform(one.audio, digits.RATE_HZ)
        assert one.duration_s == pytest.approx(len(waveform) / digits.RATE_HZ)
        around = waveform[: round(digits.AROUND_S[0] * digits.RATE_HZ)]
        assert 2e-4 < np.abs(around).max() < 1e-2  # noise of the takes, neither digital silence nor a tone
        assert len(waveform) > len(words) * 2000
    minute = digits.strings(takes, "ann-adapt", minutes=0.2)
    assert sum(one.duration_s or 0.0 for one in minute) >= 12


def test_a_pause_longer_than_the_background_has_no_edges() -> None:
    background = np.linspace(0, 1, 100, dtype=np.float32)
    steps = np.abs(np.diff(digits.pause(background, 0.1)))
    assert steps.max() == pytest.approx(background[1], rel=1e-3)
    assert len(digits.string_of([np.ones(400, np.float32)], random.Random(0))) > 400


@pytest.mark.process
def test_a_person_whom_the_base_has_not_heard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_manifest(str(tmp_path / "takes.csv"), make_takes(tmp_path, ("ann", "bob", "cy"), 6))
    digits.main(
        [
            *(
                "--takes",
                str(tmp_path / "takes.csv"),
                "--people",
                "cy",
                "--minutes",
                "0.2,0.3",
                "--base-minutes",
                "0.3",
            ),
            *("--test-strings", "3", "--recipes", "default=num_epochs=1,cross_validate_below=0"),
            *("--full-rates", "", "--train", "train.num_epochs=1", "model.rnn_hidden_dim=16"),
            *("--cache", str(tmp_path / "cache")),
        ]
    )
    line = json.loads(capfd.readouterr().out)
    assert [(row["person"], row["minutes"]) for row in line["rows"]] == [("cy", 0.2), ("cy", 0.3)]
    assert line["rows"][0]["utterances"] < line["rows"][1]["utterances"]
    for row in line["rows"]:
        assert row["words"] >= 9
        assert row["wer_base"] >= 0
