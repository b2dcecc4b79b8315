import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gains import real_speech
from benchmarks.gains.real_recordings import (
    LACKING,
    NOTHING_SAID,
    SAID_BEFORE,
    Recordings,
    Silence,
    divide,
    one_of_each,
    read_recordings,
    spelled_out,
)
from benchmarks.speech import random_base, saved_random_base, vocabulary_of
from ds2ray.config import TextConfig
from ds2ray.errors import InputError
from ds2ray.sound.audio import write_audio
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest
from ds2ray.text import normalise

TEXT = TextConfig()


def utterance(transcript: str, line: int, audio: str = "", user_id: str = "ann") -> Utterance:
    return Utterance(f"u{line}", user_id, audio or f"/speech/{line}.wav", 1.0, transcript, line)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Press 1 for help, or 2.", "press one for help or two"),
        ("press # or just * to exit", "press pound or just star to exit"),
        ('IAX (note: does not say "2")', "iax"),
        ("(10 seconds of silence)", ""),
        ("H.323 in 3D, 24 or 2.5", "h 323 in 3d 24 or 2 5"),  # can be read in several ways: left to the vocabulary
    ],
)
def test_transcripts_are_spelled_out_as_they_are_said(written: str, said: str) -> None:
    assert normalise(spelled_out(written), TEXT) == said
    assert spelled_out(spelled_out(written)) == spelled_out(written)


@given(
    sentences=st.lists(st.lists(st.sampled_from(["Go", "go!", "go,", "on", "ON…", "off"]), min_size=1, max_size=2)),
    seed=st.integers(0, 9),
)
def test_no_sentence_is_in_two_parts(sentences: list[list[str]], seed: int) -> None:
    spoken = [utterance(" ".join(words), line) for line, words in enumerate(sentences)]
    usable = one_of_each(spoken, TEXT)
    assert {normalise(u.transcript, TEXT) for u in usable} == {normalise(u.transcript, TEXT) for u in spoken}
    if len(usable) < 4:
        return
    parts = divide(Recordings("ann", usable, [], {}, {}, {}), 0.3, seed)
    said = [[normalise(u.transcript, TEXT) for u in part] for part in (parts.train, parts.held_out, parts.test)]
    assert all(said)
    everything = [text for part in said for text in part]
    assert len(set(everything)) == len(everything)
    assert set(everything) == {normalise(u.transcript, TEXT) for u in usable}


def test_what_cannot_be_used_is_counted_once(tmp_path: Path) -> None:
    audio, short = str(tmp_path / "speech.wav"), str(tmp_path / "short.wav")
    write_audio(audio, np.zeros(8000, np.float32), 8000)
    write_audio(short, np.zeros(40, np.float32), 8000)
    said = ["Go on", "go on!", "press 1", "(hum)", "next", "Quit, next", "on", "gone"]
    files = [*[audio] * 6, short, str(tmp_path / "absent.wav")]
    rows = [utterance(text, line, file) for line, (text, file) in enumerate(zip(said, files, strict=True))]
    uri = str(tmp_path / "speech.jsonl")
    write_manifest(uri, rows)
    found = read_recordings(uri, random_base("tiny", vocabulary_of([utterance("go on press gone", 0)])))
    assert [u.transcript.split() for u in found.usable] == [["Go", "on"], ["press", "one"]]
    assert [u.transcript.strip() for u in found.silent] == [""]
    assert found.dropped == {
        LACKING: 2,
        NOTHING_SAID: 1,
        SAID_BEFORE: 1,
        "shorter than 0.1 s": 1,
        "there is no such file": 1,
    }
    assert found.lacking == {"x": 2, "t": 2, "q": 1, "u": 1, "i": 1}
    assert found.changed == {"resampled": 2, "sampled_up": 2, "spelled_out": 1, "normalised": 2}


def test_several_speakers_are_refused(tmp_path: Path) -> None:
    uri = str(tmp_path / "speech.csv")
    write_manifest(uri, [utterance("go", 1), utterance("on", 2, user_id="ben")])
    with pytest.raises(InputError, match=r"2 speakers, \['ann', 'ben'\]: give a manifest of one"):
        read_recordings(uri, random_base("tiny", vocabulary_of([utterance("go on", 0)])))


def test_silence_is_measured_against_the_speech_of_its_recording(tmp_path: Path) -> None:
    tone = np.sin(np.arange(4000) / 3)
    loud, hiss = 0.2 * tone, 0.0015 * tone  # 42 dB below
    path = str(tmp_path / "speech.wav")
    write_audio(path, np.concatenate([hiss[:1600], loud, hiss, loud[:800], hiss[:400]]).astype(np.float32), 8000)
    silence = Silence.of(utterance("go", 1, path), 8000)
    assert silence == Silence(frames=135, quiet=75, before=20, after=5, longest=50)
    assert silence.share == pytest.approx(75 / 135)


def test_speech_that_is_not_there_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        real_speech.main(["--speech", str(tmp_path / "utterances.jsonl")])
    assert "--speech=… takes any manifest of one speaker's utterances" in capsys.readouterr().err


def some_prompts() -> list[Utterance]:
    """Some of the shortest prompts, and some of each kind that is left out."""
    prompts = sorted(read_manifest(str(real_speech.SPEECH)).utterances, key=lambda u: u.duration_s or 0.0)
    plain = [u for u in prompts if not set(u.transcript.lower()) & set("xq'0123456789(#*")]
    silent = [u for u in prompts if "of silence)" in u.transcript]
    again = replace(plain[0], utterance_id="again")
    lacking = [u for u in prompts if "x" in u.transcript and "(" not in u.transcript]
    spelled = [u for u in prompts if u.transcript in ("folder 5", "folder 7")]
    return [*one_of_each(plain, TEXT)[:26], again, *silent[:2], *lacking[:3], *spelled[:2]]


@pytest.mark.process
@pytest.mark.skipif(not real_speech.SPEECH.exists(), reason="../shared/speech/allison-en is not here")
def test_the_base_is_compared_with_what_is_trained_from_it(
    ray_cluster: str, own_fork_server: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = some_prompts()
    random.Random(0).shuffle(rows)
    uri = str(tmp_path / "some.jsonl")
    write_manifest(uri, rows, audio_relative=False)
    base = saved_random_base("tiny", vocabulary_of([utterance("abcdefghijklmnoprstuvwyz", 0)]), str(tmp_path))
    real_speech.main(
        [
            *("--speech", uri, "--base", base, "--epochs", "2", "--test-fraction", "0.25"),
            *("--recipes", "short=num_epochs=2,hidden_dims=16"),
        ]
    )
    printed = capfd.readouterr()
    line: dict[str, Any] = json.loads(printed.out.splitlines()[-1])
    assert line["benchmark"] == "real_speech"
    assert line["speaker"] == "allison"
    assert line["utterances"] == {"train": 17, "held_out": 4, "test": 7}
    assert line["dropped"] == {LACKING: 3, NOTHING_SAID: 2, SAID_BEFORE: 1}
    assert line["lacking"] == {"x": 3}
    assert sum(line["utterances"].values()) + sum(line["dropped"].values()) == len(rows)
    assert line["changed"]["resampled"] == 28
    assert line["changed"]["spelled_out"] == 2
    assert line["silent_recordings_s"] == 3.0
    assert 0 < line["silence_share"] < 1
    system_of = {row["system"]: row for row in line["systems"]}
    assert list(system_of) == ["base", "full", "adapter short"]
    for name, system in (("base", "base"), ("full", "full"), ("adapter", "adapter short")):
        assert (line[f"wer_{name}"], line[f"cer_{name}"]) == (system_of[system]["wer"], system_of[system]["cer"])
    for row in line["systems"]:
        assert min(row["cer"], row["wer"]) > 0
        assert min(row["cer_little"], row["cer_much"]) <= row["cer"] <= max(row["cer_little"], row["cer_much"])
    tuned = [float(rate) for rate in re.findall(r"^epoch .* CER ([\d.]+)%", printed.err, re.M)]
    assert len(tuned) == 2
    assert tuned[system_of["full"]["epochs"] - 1] == min(tuned)  # the best is published; both are as they are printed
    assert 0 < system_of["adapter short"]["parameters"] < system_of["full"]["parameters"]
    assert system_of["adapter short"]["epochs_at_most"] == 2
