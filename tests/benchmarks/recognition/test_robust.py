"""The benchmark of speech as it is recorded, at toy size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.recognition import robust
from benchmarks.recognition.recorded import CONDITIONS, RATE_HZ, long_recording, recorded, silent_clips
from benchmarks.speech import base_corpus, ordinary_speakers, saved_random_base, vocabulary_of
from ds2ray.sound.audio import probe, read_waveform, write_audio
from ds2ray.tables.manifest import Utterance, read_manifest

AROUND = {f"{kind}_{seconds}" for kind in ("pad", "noise") for seconds in ("0.25", "0.5", "1", "2")}


def said(folder: Path, *users: str) -> list[Utterance]:
    rows = []
    for line, user in enumerate(users):
        uri = str(folder / f"{line}.wav")
        speech = 0.3 * np.sin(np.arange(RATE_HZ + 160 * line) / (3 + line))
        write_audio(uri, speech.astype(np.float32), RATE_HZ)
        rows.append(Utterance(f"u{line}", user, uri, len(speech) / RATE_HZ, f"word{line}", line))
    return rows


def test_conditions_are_what_their_names_say(tmp_path: Path) -> None:
    rows = said(tmp_path, "ann", "ben", "ann", "ann")
    by_name = {condition.name: recorded(rows, condition, str(tmp_path / "out")) for condition in CONDITIONS}
    assert set(by_name) == {"clean", "joined", "narrowband", "clipped", *AROUND}
    for name in AROUND:
        kind, _, seconds = name.partition("_")
        first = read_waveform(by_name[name][0].audio, RATE_HZ)
        side = round(float(seconds) * RATE_HZ)
        assert len(first) == RATE_HZ + 2 * side
        level = np.sqrt(np.mean(first[:side] ** 2))
        assert level == (0 if kind == "pad" else pytest.approx(1e-3, rel=0.05))
    assert [row.transcript for row in by_name["joined"]] == ["word0 word2"]  # of one speaker
    assert by_name["joined"][0].duration_s == pytest.approx(2 + 320 / RATE_HZ)
    assert {probe(row.audio).sample_rate_hz for row in by_name["narrowband"]} == {8000}
    clipped = np.abs(read_waveform(by_name["clipped"][0].audio, RATE_HZ))
    assert (clipped > 0.99).mean() > 0.7
    assert sorted(row.transcript for row in by_name["clean"]) == [row.transcript for row in rows]


def test_a_long_recording_holds_all_sentences_over_and_over(tmp_path: Path) -> None:
    uri = str(tmp_path / "long.wav")
    transcripts = [one.transcript for one in long_recording(said(tmp_path, "ann", "ann", "ann"), 12.0, uri)]
    assert probe(uri).duration_s == pytest.approx(12.5, abs=1.5)
    assert set(transcripts[:3]) == set(transcripts[3:6]) == {"word0", "word1", "word2"}


def test_ten_clips_hold_no_speech(tmp_path: Path) -> None:
    levels = [np.abs(read_waveform(uri, RATE_HZ)).max() for uri in silent_clips(str(tmp_path))]
    assert len(levels) == 10
    assert levels[0] == 0


def test_bars_are_held_for_base_and_adapters() -> None:
    wer = {name: {"base": 1.0, "adapter": 5.0} for name in ("clean", "long_sentences", *robust.BARS)}
    none = {"base": 0, "adapter": 0}
    assert robust.falls_short(wer, none) == []
    wer["pad_1"] = {"base": 2.2, "adapter": 7.1}  # 1.2 × clean + 1 point
    wer["joined"] = {"base": 1.31, "adapter": 6.5}
    wer["long"] = {"base": 1.0, "adapter": 5.6}
    wer["narrowband"] = {"base": 4.1, "adapter": 12.0}
    assert robust.falls_short(wer, {"base": 0, "adapter": 3}) == [
        *("pad_1 adapter", "joined base", "long adapter", "narrowband base", "words_in_silence adapter"),
    ]


@pytest.mark.process
def test_base_and_adapters_are_compared(ray_cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = str(tmp_path / "cache")
    ordinary = base_corpus(cache, 20, 40)
    vocabulary = vocabulary_of(read_manifest(ordinary.train_manifest).utterances)
    base = saved_random_base("tiny", vocabulary, str(tmp_path))
    sizes = ["--users", "2", "--minutes", "0.1", "--adapt-epochs", "1", "--test-sentences", "2"]
    robust.main([*sizes, "--base-sentences", "20", "--long-s", "6", "--base", base, "--cache", cache])
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert line["benchmark"] == "robust"
    assert set(line["wer"]) == {"clean", "joined", "long", "long_sentences", "narrowband", "clipped", *AROUND}
    assert all(set(rates) == {"base", "adapter"} and min(rates.values()) > 0 for rates in line["wer"].values())
    assert set(line["words_in_silence"]) == {"base", "adapter"}
    assert line["falls_short"] == robust.falls_short(line["wer"], line["words_in_silence"])
    assert (line["statistics"], line["test_words"]["base"] > 10) == ("speech", True)
    assert line["encoding_speed"] > 0
    voices = ordinary_speakers(cache, 2, ordinary)
    ours = {u.transcript for u in read_manifest(ordinary.train_manifest).utterances}
    assert not ours & {u.transcript for voice in voices for u in voice.test}
    assert {len(voice.test) for voice in voices} == {2}
