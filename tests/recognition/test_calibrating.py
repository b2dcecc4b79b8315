"""Calibration of a base's decoders: fitted on words that are known, kept beside the base, used in recognition."""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
import torch
from fleet_runs import RandomBase, run_job_here
from torch import Tensor

from ds2ray import Transcriber
from ds2ray.decoding.calibration import Calibration
from ds2ray.decoding.decoder import Decoded
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.recognition.calibrating import calibrate, calibrate_trained, confidence_error
from ds2ray.store import Store, publish_calibrations
from ds2ray.store.layout import base_uri, calibrations_uri
from ds2ray.tables.manifest import Utterance, read_manifest

STORED = Path(__file__).resolve().parents[1] / "fixtures" / "stored"
NUM_WORDS = 4


@dataclass(frozen=True)
class Boaster:
    """A decoder that says one word and then others that nobody said, all with a probability of 0.95."""

    token_ids: list[int]
    name: str = "boaster"

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        frames = list(range(len(self.token_ids)))
        scores = [math.log(0.95)] * len(frames)
        return [Decoded(self.token_ids, frames, frames, -1.0, scores) for _ in lengths]


@pytest.fixture
def utterances(small_corpus: DemoCorpus) -> list[Utterance]:
    """16 of them, in each of which `the` is said once."""
    found = read_manifest(small_corpus.test_manifest).utterances
    return [replace(utterance, transcript="the") for utterance in found]


@pytest.fixture
def boaster(random_base: RandomBase) -> Boaster:
    return Boaster(random_base.base.vocabulary.encode_known("the e ee eee"))


def test_words_are_as_sure_as_they_were_right(
    random_base: RandomBase, utterances: list[Utterance], boaster: Boaster
) -> None:
    transcriber = Transcriber.open(random_base.root, vad="off", decoder=boaster)
    gone = replace(utterances[0], audio="gone.wav")
    found = calibrate(transcriber, [*utterances, gone, replace(gone, transcript="")], [boaster])
    assert list(found) == ["boaster"]
    assert found["boaster"].num_words == 16 * NUM_WORDS
    assert found["boaster"].error_before == pytest.approx(0.95 - 1 / NUM_WORDS)
    assert found["boaster"].error < 0.05
    before = transcriber.transcribe_utterances(utterances)
    after = replace(transcriber, calibrations=found).transcribe_utterances(utterances)
    transcripts = [utterance.transcript for utterance in utterances]
    assert before[0].words[0].confidence == pytest.approx(0.95)
    assert after[0].words[0].confidence == pytest.approx(1 / NUM_WORDS, abs=0.03)
    assert confidence_error(transcriber, transcripts, before) == pytest.approx(0.95 - 1 / NUM_WORDS)
    assert confidence_error(transcriber, transcripts, after) < 0.03


def test_too_little_speech_calibrates_nothing(
    random_base: RandomBase, utterances: list[Utterance], boaster: Boaster
) -> None:
    transcriber = Transcriber.open(random_base.root, vad="off")
    assert calibrate(transcriber, utterances[:2], [boaster]) == {}
    few, device = utterances[:2], torch.device("cpu")
    assert calibrate_trained(random_base.base, Store(random_base.root), device, few) == {}


def test_a_calibration_beside_the_base_is_found_and_one_of_another_decoder_is_not_used(
    random_base: RandomBase, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path))
    assert Transcriber.open(root).calibration is None
    known = Calibration(0.5, -1.0, 100, 0.01, 0.2)
    publish_calibrations(
        Store(root), random_base.base.base_id, {"greedy": {**asdict(known), "of_a_newer_release": 1.0}}
    )
    assert Transcriber.open(root).calibration == known
    assert Transcriber.open(root, decoder=Boaster([])).calibration is None


def test_a_base_that_hears_too_little_is_told(
    random_base: RandomBase, small_corpus: DemoCorpus, utterances: list[Utterance], tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path))
    done = run_job_here("calibrate", small_corpus.valid_manifest, f"storage.root={root}")
    assert done.code == 2
    assert "fewer than 50 words were heard" in done.err
    assert not Store(root).exists(calibrations_uri(base_uri(Store(root), random_base.base.base_id)))


def test_a_base_that_was_trained_is_calibrated_by_the_sound(tmp_path: Path) -> None:
    base = Transcriber.open(str(STORED / "store")).base
    said = {"3-010.wav": "da a", "3-011.wav": "cdb bad"}
    rows = [Utterance(name, "", str(STORED / name), 1.0, text, n) for n, (name, text) in enumerate(said.items())] * 15
    found = calibrate_trained(base, Store(str(tmp_path)), torch.device("cpu"), rows)
    assert {name: each.num_words for name, each in found.items()} == {"greedy": 60, "beam": 60}
    assert all(0.9 < each(-0.05) < 1.0 for each in found.values())
