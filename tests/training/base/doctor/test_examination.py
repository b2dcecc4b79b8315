"""The examination before a training, by trainings of which each has one fault, and by sound ones."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from base_training import damaged, make_task
from toy_speech import SAMPLE_RATE_HZ

from ds2ray.config import TextConfig
from ds2ray.errors import InputError, InterruptedRunError
from ds2ray.model.building import build_model
from ds2ray.sound.audio import write_audio
from ds2ray.text import Vocabulary
from ds2ray.training.base.doctor.examination import Diagnosis, examine
from ds2ray.training.base.task import BaseTask


@pytest.fixture
def task(tmp_path: Path, one_thread: None) -> BaseTask:
    return make_task(tmp_path, num_train=48)


def with_rate(task: BaseTask, rate: float) -> BaseTask:
    return replace(task, train=replace(task.train, learning_rate=rate))


def only_finding(diagnosis: Diagnosis) -> str:
    (finding,) = diagnosis.findings
    assert diagnosis.lines()[0] == f"doctor: {finding}"
    return finding


def with_sound(task: BaseTask, folder: Path, waveforms: list[np.ndarray]) -> BaseTask:
    """The task with other audio behind its texts."""
    made = []
    for utterance, waveform in zip(task.train_utterances, waveforms, strict=True):
        path = str(folder / f"other-{utterance.utterance_id}.wav")
        write_audio(path, waveform.astype(np.float32), SAMPLE_RATE_HZ)
        made.append(replace(utterance, audio=path, duration_s=len(waveform) / SAMPLE_RATE_HZ))
    return replace(task, train_utterances=made)


def test_a_sound_training_has_a_clean_bill(task: BaseTask) -> None:
    told: list[str] = []
    diagnosis = examine(task, "cpu", tell=told.append)
    assert diagnosis.findings == []
    assert [note.partition(" in ")[0].partition(":")[0] for note in diagnosis.notes] == [
        "one batch is learnt by heart",
        "transcripts are those of their audio",
    ]
    assert told[-1] == "the doctor: comparing transcripts with those of others"


def test_transcripts_of_other_audio_are_found(task: BaseTask) -> None:
    texts = [utterance.transcript for utterance in task.train_utterances]
    random.Random(0).shuffle(texts)
    exchanged = [
        replace(utterance, transcript=text) for utterance, text in zip(task.train_utterances, texts, strict=True)
    ]
    finding = only_finding(examine(replace(task, train_utterances=exchanged), "cpu"))
    assert finding.startswith("transcripts do not belong to their audio")


def test_a_rate_that_is_too_high_is_found(task: BaseTask) -> None:
    finding = only_finding(examine(with_rate(task, 30.0), "cpu", max_steps=60))
    assert finding.startswith("the rate is too high: one batch is not learnt by heart at train.learning_rate=30 ")
    assert finding.endswith("set train.learning_rate=0.3")


def test_a_rate_that_is_too_low_is_found(task: BaseTask) -> None:
    finding = only_finding(examine(with_rate(task, 1e-4), "cpu", max_steps=100))
    assert finding.startswith("the rate is too low")
    assert finding.endswith("set train.learning_rate=0.001")


def test_a_model_that_writes_nothing_but_blanks_is_found(task: BaseTask) -> None:
    state = dict(build_model(task.model, task.audio, len(task.vocabulary)).state_dict())
    state["output.bias"] = state["output.bias"].clone()
    state["output.bias"][0] = 1e6
    finding = only_finding(examine(replace(task, initial_state=state), "cpu", max_steps=20))
    assert finding.startswith("blank collapse: the model writes nothing but blanks")


def test_audio_without_a_sound_is_found(task: BaseTask, tmp_path: Path) -> None:
    silence = [np.zeros(round((u.duration_s or 0) * SAMPLE_RATE_HZ)) for u in task.train_utterances]
    finding = only_finding(examine(with_sound(task, tmp_path, silence), "cpu"))
    assert finding.startswith("the model hears nothing")


def test_a_batch_that_cannot_be_learnt_is_found(task: BaseTask, tmp_path: Path) -> None:
    one = 0.3 * np.sin(np.arange(SAMPLE_RATE_HZ) / 10)
    task = with_sound(task, tmp_path, [one] * len(task.train_utterances))
    finding = only_finding(examine(task, "cpu", max_steps=30))
    # a model that cannot tell them apart writes what all have in common, if anything
    assert finding.startswith(("one batch is not learnt by heart", "blank collapse"))


def test_a_vocabulary_that_lacks_letters_is_found(task: BaseTask) -> None:
    half = Vocabulary.from_transcripts(["ab "], TextConfig())
    finding = only_finding(examine(replace(task, vocabulary=half), "cpu"))
    assert finding.startswith("the vocabulary lacks ")
    assert "('c' 'd')" in finding or "('d' 'c')" in finding
    assert "train.vocab_path" in finding


def test_a_base_that_is_trained_further_is_sound(task: BaseTask, trained_base: Any) -> None:
    further = replace(task, initial_state=trained_base.base.model.base_state())
    assert examine(further, "cpu").findings == []


def test_a_base_of_another_vocabulary_is_found(task: BaseTask, trained_base: Any) -> None:
    tokens = trained_base.base.vocabulary.tokens[1:]
    moved = Vocabulary.from_tokens([*tokens[1:], tokens[0]], TextConfig())
    wrong = replace(task, initial_state=trained_base.base.model.base_state(), vocabulary=moved)
    assert "has the same characters in another order" in only_finding(examine(wrong, "cpu"))


def test_without_time_nothing_is_found_and_that_is_said(task: BaseTask) -> None:
    diagnosis = examine(task, "cpu", limit_s=-1.0)
    assert diagnosis.findings == []
    assert diagnosis.notes[0].startswith("there was no time to tell")


def test_few_utterances_are_compared_with_none(tmp_path: Path, one_thread: None) -> None:
    diagnosis = examine(make_task(tmp_path, num_train=4), "cpu")
    assert diagnosis.findings == []
    assert diagnosis.notes[-1].startswith("with 2 utterances to compare it cannot be told")


def test_it_stops_when_it_is_asked_to(task: BaseTask) -> None:
    with pytest.raises(InterruptedRunError, match="while the doctor was at work"):
        examine(task, "cpu", stopped=lambda: True)


def test_audio_of_which_nothing_can_be_decoded_is_told(tmp_path: Path) -> None:
    task = make_task(tmp_path, num_train=2)
    all_of_them = replace(task, train_utterances=[damaged(utterance) for utterance in task.train_utterances])
    with pytest.raises(InputError, match="none of the 1 utterances that the doctor looks at can be decoded"):
        examine(all_of_them, "cpu")


def test_the_training_is_not_touched(task: BaseTask) -> None:
    before, state = torch.random.get_rng_state(), task.fingerprint
    examine(task, "cpu", max_steps=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert task.fingerprint == state
