"""A decoder's fault ends with the utterance: whoever reads audio goes on with the others."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import soundfile
from sounds import encoded, warble
from toy_speech import VOCABULARY

from ds2ray.batching.batches import SpeechDataset
from ds2ray.config import AudioConfig, AugmentConfig, DataConfig
from ds2ray.model.weights import Base
from ds2ray.packs.files import read_shard
from ds2ray.packs.layout import Member, packs_by_shard
from ds2ray.packs.making import make_pack
from ds2ray.sound.noise import NoiseFolder
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.validation import validate
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.base.loading import Loader

BAD = 1
"""Which of three files the decoder fails on: it alone has this many samples more."""

ERRORS = [ValueError("frames must be specified"), RuntimeError("x"), SystemError("x"), AssertionError(), KeyError("x")]


@pytest.fixture(params=ERRORS, ids=lambda error: type(error).__name__)
def utterances(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Utterance]:
    """Three, of which the decoder fails on the second, with an error of a type that nobody foresaw."""
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.flac"
        path.write_bytes(encoded(warble(16000 + (number == BAD)), "FLAC"))
        found.append(Utterance(f"u{number}", "", str(path), 1.0, "ab", number + 1))
    read = soundfile.SoundFile.read

    def fail(self: soundfile.SoundFile, *args: object, **settings: object) -> object:
        if self.frames == 16001:
            raise request.param
        return read(self, *args, **settings)

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    return found


def test_encoding(utterances: list[Utterance], fresh_base: Callable[[], Base]) -> None:
    encoded_speech = Encoder(fresh_base()).encode(utterances)
    assert [rows is None for rows in encoded_speech.encodings] == [False, True, False]
    assert list(encoded_speech.problems) == [BAD]
    assert "cannot be decoded as audio" in encoded_speech.problems[BAD]


def test_loading(utterances: list[Utterance], caplog: pytest.LogCaptureFixture) -> None:
    with Loader(SpeechDataset(utterances, VOCABULARY, AudioConfig()), 2) as loader:
        batch, unreadable = loader.decode([0, 1, 2])
    assert batch is not None
    assert (batch.utterance_ids, unreadable) == (["u0", "u2"], 1)
    assert "left out: utterance u1: cannot be decoded" in caplog.text


def test_noise(utterances: list[Utterance], tmp_path: Path) -> None:
    noise = NoiseFolder(AugmentConfig(noise_dir=str(tmp_path), noise_share=1.0), 16000)
    speech = warble(4000, seed=2)
    results = [noise.mix(speech, random.Random(seed)) for seed in range(30)]
    assert {result is speech for result in results} == {True, False}


def test_packing(utterances: list[Utterance], tmp_path: Path) -> None:
    members = [Member(u, "m.csv", Path(str(u.audio)).stat().st_size, "1") for u in utterances]
    (pack,), _ = packs_by_shard(members, {}, 1e9, {})
    with ThreadPoolExecutor(2) as readers:
        made = make_pack(pack, str(tmp_path / "packs"), set(), DataConfig(), True, readers)
    assert made.packed is not None
    assert [problem.utterance_id for problem in made.problems] == ["u1"]
    stored = read_shard(str(tmp_path / "packs" / made.packed.file_name))
    assert sorted(u.utterance_id for u in stored) == ["u0", "u2"]


def test_validation(utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch) -> None:
    begin = soundfile.SoundFile.__init__

    def fail(self: soundfile.SoundFile, *args: object, **settings: object) -> None:
        begin(self, *args, **settings)
        if self.frames == 16001:
            raise ArithmeticError("a header that nobody foresaw")

    monkeypatch.setattr(soundfile.SoundFile, "__init__", fail)
    checked = validate(Manifest("m.csv", utterances), data=DataConfig(), audio=AudioConfig(), vocabulary=None)
    assert [u.utterance_id for u in checked.utterances] == ["u0", "u2"]
    (problem,) = checked.problems
    assert "a header that nobody foresaw" in problem.reason
