"""Users' speech with further recordings of it: encoded once, never of held-out speech, and without those that fail."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_speech import make_utterances

from ds2ray.config import AdaptConfig
from ds2ray.config.adapt import FURTHER_TIMES
from ds2ray.errors import InputError
from ds2ray.model.weights import Base
from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.tables.manifest import Utterance
from ds2ray.training import further
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.speech import UserSpeech, encode_users, encoding_of_users

HELD_OUT = AdaptConfig(cross_validate_below=0, held_out_fraction=0.3)
CROSS_VALIDATED = AdaptConfig(cross_validate_below=100)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    return make_utterances(tmp_path_factory.mktemp("speech"), 10, seed=4)


def speech_of(base: Base, utterances: Sequence[Utterance], adapt: AdaptConfig, after_layer: int = 0) -> UserSpeech:
    (speech,) = encode_users(Encoder(base, after_layer), {"ann": utterances}, adapt)
    return speech


def test_the_training_speech_is_encoded_twice_more(base: Base, utterances: list[Utterance]) -> None:
    speech = speech_of(base, utterances, HELD_OUT)
    (part,) = speech.parts
    assert part.further == list(range(10, len(speech.frames)))
    assert len(speech.tokens) == len(speech.frames) == 10 + 4 + 4  # of seven utterances
    assert len(speech.transcripts) == 10
    own, again = (sum(len(speech.frames[row]) for row in rows) for rows in (part.train, part.further))
    assert own * 1.9 < again < own * 2.6  # with pauses


@pytest.mark.parametrize("adapt", [HELD_OUT, CROSS_VALIDATED], ids=["held-out", "cross-validated"])
def test_no_recording_of_a_part_holds_what_it_holds_out(
    base: Base, utterances: list[Utterance], adapt: AdaptConfig, tmp_path: Path
) -> None:
    speech = speech_of(base, utterances, adapt)
    for number, part in enumerate(speech.parts):
        assert part.further
        # the held-out files are others: what the part trains on is the same
        changed = list(utterances)
        for row in part.held_out:
            path = str(tmp_path / f"{number}-{row}.wav")
            waveform = read_waveform(utterances[row].audio, 16000)
            write_audio(path, waveform[::-1].copy(), 16000)
            changed[row] = replace(utterances[row], audio=path)
        other = speech_of(base, changed, adapt)
        assert other.parts == speech.parts
        for row in (*part.train, *part.further):
            torch.testing.assert_close(other.frames[row], speech.frames[row], atol=1e-5, rtol=1e-4)
        for row in part.held_out:
            assert not torch.allclose(other.frames[row], speech.frames[row], atol=1e-2)


def test_two_in_one_breath_are_encoded_as_one_recording(base: Base, utterances: list[Utterance]) -> None:
    speech = speech_of(base, utterances, HELD_OUT)
    ids, train = [u.utterance_id for u in utterances], list(speech.parts[0].train)
    recordings = further.further_recordings(ids, [1.0] * 10, [train], speech.seed)
    for row, one in zip(speech.parts[0].further, recordings, strict=True):
        waveform = one.waveform([read_waveform(utterances[spoken].audio, 16000) for spoken in one.rows], 16000)
        features = base.model.features(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
        torch.testing.assert_close(speech.frames[row], base.model.trunk(*features, 0)[0][0], atol=1e-5, rtol=1e-4)
        said = " ".join(speech.transcripts[spoken] for spoken in one.rows)
        assert speech.tokens[row].tolist() == base.vocabulary.encode_known(said)


@pytest.mark.parametrize(
    ("after_layer", "share", "more"), [(0, 0.5, True), (0, 0.0, False), (-1, 0.5, False), (1, 0.5, False)]
)
def test_there_are_none_after_the_last_layer_or_for_no_step(
    base: Base, utterances: list[Utterance], after_layer: int, share: float, more: bool
) -> None:
    speech = speech_of(base, utterances, replace(HELD_OUT, further_share=share), after_layer)
    assert (len(speech.frames) > 10) == more
    assert bool(speech.parts[0].further) == more


def test_a_recording_that_cannot_be_made_is_left_out_and_told(
    base: Base, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = speech_of(base, utterances, HELD_OUT)
    gone = utterances[whole.parts[0].train[0]].audio

    def read(audio: Any, *arguments: Any) -> np.ndarray:
        if audio == gone:
            raise InputError("the file is gone")
        return read_waveform(audio, *arguments)

    monkeypatch.setattr(further, "read_waveform", read)
    with caplog.at_level(logging.WARNING):
        speech = speech_of(base, utterances, HELD_OUT)
    assert len(speech.frames) == len(whole.frames) - FURTHER_TIMES
    assert speech.parts[0].further == list(range(10, len(speech.frames)))
    assert speech.parts[0].train == whole.parts[0].train
    assert "a further recording of ann is left out: the file is gone" in caplog.text
    assert speech.dropped == {}


def test_progress_counts_utterances_up_to_all_of_them(base: Base, utterances: list[Utterance]) -> None:
    users = {"ann": utterances[:6], "bob": utterances[6:], "none": []}
    done = list(encoding_of_users(Encoder(base, 0, max_padded_s=2.0), users, HELD_OUT))
    assert done == sorted(done)
    assert done[-1] == 10
    assert 10 // (1 + FURTHER_TIMES) in done
    assert len(done) > 4
