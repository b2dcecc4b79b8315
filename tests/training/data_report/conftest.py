"""Training data with something of everything that stands out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_speech import AUDIO, MODEL, SAMPLE_RATE_HZ, VOCABULARY, make_utterances

from ds2ray.shapes.architectures import shape_of
from ds2ray.shapes.shape import Shape
from ds2ray.sound.audio import write_audio
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.training.base.sources import TrainingData


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Sixty utterances of toy speech, in order."""
    return make_utterances(tmp_path_factory.mktemp("speech"), 60, seed=4)


@pytest.fixture
def shape() -> Shape:
    return shape_of(MODEL, AUDIO)


@pytest.fixture
def sound_data(speech: list[Utterance]) -> TrainingData:
    """Data of which there is only too little."""
    return TrainingData(VOCABULARY, speech[:52], speech[52:], [])


@pytest.fixture
def odd_data(speech: list[Utterance], tmp_path: Path) -> TrainingData:
    """Copies, a long pause, a text of another utterance's length, a row left out, silence, damage, clipping."""
    sample_rate_hz = SAMPLE_RATE_HZ
    time_s = np.arange(sample_rate_hz) / sample_rate_hz
    sounds = {
        "silent": np.zeros(sample_rate_hz),
        "clipped": np.clip(4 * np.sin(2 * np.pi * 400 * time_s), -1, 1),
        "pause": np.concatenate([0.3 * np.sin(2 * np.pi * 400 * time_s), np.zeros(30 * sample_rate_hz)]),
    }
    made = []
    for name, waveform in sounds.items():
        path = tmp_path / f"{name}.wav"
        write_audio(str(path), waveform.astype(np.float32), sample_rate_hz)
        made.append(Utterance(name, "kim", str(path), len(waveform) / sample_rate_hz, "a b c", 7))
    (tmp_path / "damaged.wav").write_bytes(b"RIFF and no more")
    made.append(Utterance("damaged", "kim", str(tmp_path / "damaged.wav"), 1.0, "a b c", 8))
    same_audio = replace(speech[0], utterance_id="again")
    long = next(utterance for utterance in speech if utterance.transcript.count(" ") == 2)
    copied = replace(long, utterance_id="copied", audio="elsewhere.wav")
    squeezed = replace(speech[2], utterance_id="<b>squeezed</b>", transcript="abcd" * 12, duration_s=0.6)
    problem = Problem(
        "train.csv",
        9,
        ProblemKind.transcript,
        "transcript",
        "''",
        "too long for its audio: needs 9 frames",
        "remove it",
    )
    train = [*made, *speech[:50], same_audio, copied, squeezed]
    return TrainingData(VOCABULARY, train, [*speech[50:], speech[3]], [problem], ["utterances mixed to mono: 3"])
