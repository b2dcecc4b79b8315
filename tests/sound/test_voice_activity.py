"""Speech is found by silero-vad's own network, whatever the level, and none where nobody speaks."""

import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.sound.audio import read_waveform, resample
from ds2ray.sound.voice_activity import (
    BLOCK_S,
    CONTEXT_SAMPLES,
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    SpeechStream,
    VoiceActivity,
    speech_probabilities,
)
from ds2ray.tables.manifest import read_manifest


@pytest.fixture(scope="module")
def voices(small_corpus: DemoCorpus) -> list[np.ndarray]:
    """Sentences of several speakers."""
    utterances = read_manifest(small_corpus.test_manifest).utterances
    return [read_waveform(utterance.audio, SAMPLE_RATE_HZ) for utterance in utterances]


def archive() -> torch.jit.ScriptModule:
    """The network as its authors run it, frame after frame."""
    package = importlib.util.find_spec("silero_vad")
    assert package is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(str(Path(str(package.origin)).parent / "data" / "silero_vad.jit")).eval()


@torch.no_grad()
def test_a_stretch_at_once_is_what_frame_after_frame_is(voices: list[np.ndarray]) -> None:
    waveform = torch.from_numpy(np.concatenate(voices[:4]))
    waveform = waveform[: len(waveform) // FRAME_SAMPLES * FRAME_SAMPLES]
    theirs = archive()
    expected = torch.cat([theirs(frame[None], SAMPLE_RATE_HZ) for frame in waveform.split(FRAME_SAMPLES)])[:, 0]
    ours, stored = VoiceActivity(), theirs.state_dict()
    names = {f"recurrent.{kind}_l0": f"rnn.{kind}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    names |= {f"output.{kind}": f"decoder.2.{kind}" for kind in ("weight", "bias")}
    weights = {name: stored[f"_model.decoder.{other}"] for name, other in names.items()}
    weights["output.weight"] = weights["output.weight"].squeeze(2)
    for number in range(4):
        for kind in ("weight", "bias"):
            weights[f"convolutions.{number}.{kind}"] = stored[f"_model.encoder.{number}.reparam_conv.{kind}"]
    ours.load_state_dict(weights)
    with_context = torch.cat([torch.zeros(CONTEXT_SAMPLES), waveform])
    frames = with_context.unfold(0, CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)
    scores, _ = ours.score(ours.encode(frames)[None])
    torch.testing.assert_close(scores[0], expected, atol=1e-4, rtol=0)
    assert expected.max() > 0.9 > 0.1 > expected.min()


def test_recordings_together_are_as_alone(voices: list[np.ndarray]) -> None:
    together = speech_probabilities(voices[:5], SAMPLE_RATE_HZ)
    for waveform, scores in zip(voices[:5], together, strict=True):
        (alone,) = speech_probabilities([waveform], SAMPLE_RATE_HZ)
        assert len(scores) == -(-len(waveform) // FRAME_SAMPLES)
        np.testing.assert_allclose(scores, alone, atol=1e-4)
    assert speech_probabilities([], SAMPLE_RATE_HZ) == []


@pytest.fixture(scope="module")
def recording(voices: list[np.ndarray]) -> np.ndarray:
    """Two blocks and a part of one."""
    return np.resize(np.concatenate(voices), int(2.4 * BLOCK_S * SAMPLE_RATE_HZ))


@settings(max_examples=10)
@given(data=st.data())
def test_a_recording_in_pieces_is_the_same_wherever_it_is_cut(recording: np.ndarray, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(recording)), max_size=8)))
    whole, pieces = SpeechStream(SAMPLE_RATE_HZ), SpeechStream(SAMPLE_RATE_HZ)
    expected = [whole.push(recording), whole.finish()]
    found = [*(pieces.push(piece) for piece in np.split(recording, cuts)), pieces.finish()]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))


def test_what_comes_in_one_block_is_what_comes_at_once(voices: list[np.ndarray]) -> None:
    stream = SpeechStream(SAMPLE_RATE_HZ)
    streamed = np.concatenate([stream.push(voices[0]), stream.finish()])
    np.testing.assert_allclose(streamed, speech_probabilities([voices[0]], SAMPLE_RATE_HZ)[0], atol=1e-4)
    assert len(stream.finish()) == 0


@pytest.mark.parametrize("gain", [1.0, 0.03, 0.003])
@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 22050])
def test_speech_is_found_at_any_level_and_rate(voices: list[np.ndarray], gain: float, sample_rate_hz: int) -> None:
    speech = [gain * resample(waveform, SAMPLE_RATE_HZ, sample_rate_hz) for waveform in voices]
    shares = [float((scores > 0.5).mean()) for scores in speech_probabilities(speech, sample_rate_hz)]
    assert min(shares) > 0.5


@pytest.mark.process
def test_the_package_is_not_imported_which_would_set_the_number_of_threads() -> None:
    import subprocess

    code = (
        "import sys, torch, numpy as np; before = torch.get_num_threads()\n"
        "from ds2ray.sound.voice_activity import speech_probabilities\n"
        "speech_probabilities([np.zeros(600, dtype=np.float32)], 16000)\n"
        "assert 'silero_vad' not in sys.modules and torch.get_num_threads() == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
