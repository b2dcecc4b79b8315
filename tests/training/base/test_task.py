"""Which tasks may go on from each other's checkpoints."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from base_training import make_task
from shards import pack
from toy_speech import make_utterances

from ds2ray.config import AudioConfig, AugmentConfig, ModelConfig, Statistics, TextConfig, TrainConfig
from ds2ray.config.train import AS_IT_IS
from ds2ray.packs import files
from ds2ray.packs.references import read_packed_manifest
from ds2ray.text import Vocabulary
from ds2ray.training.base import task as task_module
from ds2ray.training.base.task import BaseTask, settings_fingerprint


def packed_task(task: BaseTask, folder: Path) -> BaseTask:
    manifest = read_packed_manifest(pack(folder, task.train_utterances, num_shards=1))
    assert manifest is not None
    return replace(task, train_utterances=manifest.utterances)


def test_speech_packed_into_other_row_groups_is_another_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tmp_path, num_train=8)
    whole = packed_task(task, tmp_path / "whole")
    same = packed_task(task, tmp_path / "elsewhere")
    monkeypatch.setattr(files, "_ROW_GROUP_BYTES", 40_000)  # two or three toy utterances
    small = packed_task(task, tmp_path / "small")
    described = [[replace(u, audio="") for u in each.train_utterances] for each in (whole, small)]
    assert described[0] == described[1]
    assert settings_fingerprint(whole) == settings_fingerprint(same)
    assert settings_fingerprint(small) != settings_fingerprint(whole)


def test_checkpoints_of_before_there_were_architectures_are_gone_on_from() -> None:
    vocabulary = Vocabulary.from_transcripts(["abc"], TextConfig())
    model = ModelConfig(conv_channels=4, num_rnn_layers=1, rnn_hidden_dim=24)
    audio = AudioConfig(num_mels=16, statistics=Statistics.utterance)
    task = BaseTask(model, audio, vocabulary, TrainConfig(augment=AugmentConfig(**AS_IT_IS)), [], [], "")
    assert settings_fingerprint(task) == "811d7e9aeb039f8a4271c6c7c12770038af52ae353f8c9a71059d361f6abe42e"
    details = AugmentConfig(**AS_IT_IS, max_pad_s=1.0, clip_db=[1.0, 2.0])
    assert settings_fingerprint(replace(task, train=TrainConfig(augment=details))) == settings_fingerprint(task)


@pytest.mark.parametrize("changed", [*AS_IT_IS, "silence_rows", "statistics"])
def test_how_training_speech_is_changed_is_part_of_the_task(changed: str, tmp_path: Path) -> None:
    task = make_task(tmp_path, num_train=2)
    other = replace(task, silence_rows=0.1)
    if changed == "statistics":
        other = replace(task, audio=replace(task.audio, statistics=Statistics.utterance))
    elif changed in AS_IT_IS:
        value = getattr(AugmentConfig(), changed)
        other = replace(task, train=replace(task.train, augment=replace(task.train.augment, **{changed: value})))
    assert settings_fingerprint(other) != settings_fingerprint(task)


@pytest.mark.parametrize("patience", [0, 2])
def test_the_validation_data_counts_where_it_decides_what_is_published(tmp_path: Path, patience: int) -> None:
    task = make_task(tmp_path, num_train=2, patience_epochs=patience)
    other = replace(task, valid_utterances=make_utterances(tmp_path, 3, seed=3))
    assert (settings_fingerprint(other) == settings_fingerprint(task)) == (patience == 0)


def test_it_is_computed_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tmp_path, num_train=2)
    fingerprint = task.fingerprint
    monkeypatch.setattr(task_module, "settings_fingerprint", lambda task: "again")
    assert pickle.loads(pickle.dumps(task)).fingerprint == task.fingerprint == fingerprint
    assert replace(task, valid_utterances=[]).fingerprint == "again"


def test_another_excerpt_of_the_same_recording_is_another_task(tmp_path: Path) -> None:
    task = make_task(tmp_path, num_train=2)

    def of(*audio: str) -> str:
        rows = [replace(task.train_utterances[0], audio=each) for each in audio]
        return settings_fingerprint(replace(task, train_utterances=rows))

    assert of("a.wav") == of("b.wav")
    assert len({of("a.wav"), of("a.wav#t=1,2"), of("a.wav#t=2,3")}) == 3
