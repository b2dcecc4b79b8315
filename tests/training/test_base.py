"""Base training: learning, resuming after a kill, ranks, damaged speech and divergence."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import base_training
import numpy as np
import pytest
import soundfile
import torch
from base_training import (
    assert_equal_weights,
    damaged,
    make_task,
    read_task,
    stop_after,
    train,
    weights,
    write_task,
)
from shards import pack
from toy_speech import SAMPLE_RATE_HZ, speak

from ds2ray.config import DataConfig, ErrorMetric, ModelConfig, Schedule, TextConfig
from ds2ray.data.audio import write_audio
from ds2ray.data.features import LogMel
from ds2ray.data.packed_audio import is_packed
from ds2ray.errors import InputError, InterruptedRunError, TrainingDivergedError
from ds2ray.model.decode import greedy
from ds2ray.model.weights import load_model_file
from ds2ray.training.encode import Encoder
from ds2ray.training.evaluation import Score, score_decoded
from ds2ray.training.optim import learning_rate_at
from ds2ray.training.reports import EpochReport, Progress
from ds2ray.training.sources import load_training_data
from ds2ray.training.task import settings_fingerprint
from ds2ray.training.validation import Validator


def program(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    support = Path(base_training.__file__)
    environment = {**os.environ, "PYTHONPATH": f"{support.parents[2]}:{support.parent}"}
    return subprocess.Popen([sys.executable, str(support), str(folder), *arguments], env=environment)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order in which the programs of these tests make them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Killed(BaseException):
    """Ends a run between two epochs, as a kill would."""


def killed_after(epoch: int) -> Callable[[EpochReport], None]:
    def report(done: EpochReport) -> None:
        if done.epoch == epoch:
            raise Killed

    return report


def test_a_tiny_model_learns(trained_base: Any) -> None:
    reports: list[EpochReport] = trained_base.reports
    assert [epoch.epoch for epoch in reports] == list(range(1, 21))
    assert reports[-1].train_loss < 0.3 * reports[0].train_loss
    assert reports[-1].valid_loss < 0.3 * reports[0].valid_loss
    assert reports[-1].cer < 0.3
    assert reports[-1].bad_steps == reports[-1].unreadable == 0
    assert not trained_base.base.model.training


def test_the_reported_errors_are_those_of_the_validation_data_alone(tmp_path: Path) -> None:
    task = make_task(tmp_path, num_epochs=3, num_valid=7)
    base, reports = train(task)
    score = Score()
    log_mel = LogMel(base.audio)
    for utterance in task.valid_utterances:
        encodings = Encoder(base).encode([utterance]).encodings[0]
        assert encodings is not None
        lengths = torch.tensor([len(encodings)])
        with torch.no_grad():
            log_probs = base.model.head(encodings[None], lengths)
        score += score_decoded(greedy(log_probs, lengths), [utterance.transcript], base.vocabulary)
    assert log_mel.hop_samples == 160
    assert reports[-1].wer == pytest.approx(score.rate(ErrorMetric.wer))
    assert reports[-1].cer == pytest.approx(score.rate(ErrorMetric.cer))


def test_the_log_line_says_what_matters(tmp_path: Path) -> None:
    _, reports = train(make_task(tmp_path, num_epochs=1))
    line = reports[0].line()
    assert line.startswith("epoch 1/1 · loss ")
    assert "WER" in line
    assert "bad steps" not in line
    assert all(math.isfinite(value) for value in reports[0].metrics().values())


EVERYTHING: dict[str, Any] = {
    "num_train": 30,
    "batch_s": 3.0,
    "accumulate_steps": 2,
    "sorta_grad": True,
    "precision": "bfloat16",
    "ema_decay": 0.9,
    "schedule": "tri_stage",
    "augment": {"speeds": [0.9, 1.1], "num_mel_masks": 1},
}
"""What a resumed run could lose track of."""


class TestResume:
    def test_a_run_that_was_killed_five_times_ends_bit_for_bit_as_one_that_never_was(
        self, tmp_path: Path, one_thread: None
    ) -> None:
        write_audio(str(tmp_path / "noise" / "hum.wav"), 0.1 * speak("cab cab"), SAMPLE_RATE_HZ)
        augment = {**EVERYTHING["augment"], "noise_dir": str(tmp_path / "noise")}
        for name in ("killed", "whole"):
            (tmp_path / name).mkdir()
            write_task(tmp_path / name, **{**EVERYTHING, "augment": augment}, checkpoint_every_s=1e-3)
        killed = program(tmp_path / "killed", "--kills", "1")
        whole, _ = train(read_task(tmp_path / "whole"))
        assert killed.wait(200) == 0
        resumed = load_model_file(str(tmp_path / "killed" / "model-0.pt"))
        assert_equal_weights(resumed, whole)
        assert resumed.fingerprint == whole.fingerprint
        said = (tmp_path / "killed" / "said.txt").read_text().splitlines()
        assert len(said) >= 3  # a child that dies before its first checkpoint leaves nothing to go on from
        assert any("steps of it" in line for line in said), said

    @pytest.mark.parametrize("settings", [{}, EVERYTHING])
    def test_stopped_after_any_step_it_goes_on_as_if_it_had_not_been(
        self, settings: dict[str, Any], tmp_path: Path
    ) -> None:
        write_task(tmp_path, **{"batch_size": 2, **settings, "num_epochs": 2, "num_train": 12, "num_valid": 1})
        task = read_task(tmp_path)
        whole, whole_reports = train(task)
        for path in (tmp_path / "checkpoints").iterdir():
            path.unlink()
        said: list[str] = []
        reports: list[EpochReport] = []
        for _ in range(20):
            try:
                # two steps, or a whole validation, and then one more: sooner or later everywhere
                base, _ = train(task, reports.append, stopped=stop_after(3), say=said.append)
                break
            except InterruptedRunError as error:
                said.append(str(error))
        assert len(said) >= 6
        assert_equal_weights(base, whole)
        assert [replace(epoch, seconds=0.0) for epoch in reports] == [
            replace(epoch, seconds=0.0) for epoch in whole_reports
        ]

    def test_it_says_where_it_stopped_and_where_it_goes_on(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_epochs=2)
        with pytest.raises(InterruptedRunError) as stopped:
            train(task, stopped=stop_after(2))
        place = "in epoch 1 of 2 after 2 steps of it"
        assert str(stopped.value) == (
            f"stopped {place}; run it again to go on from there: the state is in {tmp_path}/checkpoints"
        )
        said: list[str] = []
        train(task, say=said.append)
        assert said == [f"going on from step 2, {place}, of {tmp_path}/checkpoints"]

    def test_the_schedule_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_epochs=4, schedule=Schedule.warmup_cosine)
        with pytest.raises(Killed):
            train(task, killed_after(2))
        _, reports = train(task)
        steps = [3 * epoch.epoch - 1 for epoch in reports]  # 18 utterances in batches of 6
        assert steps == [8, 11]
        expected = [learning_rate_at(step, 12, 0.02, Schedule.warmup_cosine, 0.1) for step in steps]
        assert [epoch.learning_rate for epoch in reports] == expected

    def test_a_finished_run_reports_its_last_epoch_and_trains_no_more(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_epochs=2)
        first, reports = train(task)
        again, reports_again = train(task)
        assert reports_again == reports[-1:]
        assert_equal_weights(first, again)

    def test_resume_false_starts_afresh(self, tmp_path: Path) -> None:
        first, _ = train(make_task(tmp_path, num_epochs=2))
        again, reports = train(make_task(tmp_path, num_epochs=2, resume=False))
        assert [epoch.epoch for epoch in reports] == [1, 2]
        assert_equal_weights(first, again)

    @pytest.mark.parametrize("change", [{"learning_rate": 0.01}, {"num_epochs": 3}, {"seed": 1}, {"num_train": 17}])
    def test_a_changed_setting_starts_afresh(self, tmp_path: Path, change: dict[str, float]) -> None:
        train(make_task(tmp_path, num_epochs=2))
        _, reports = train(make_task(tmp_path, **{"num_epochs": 2, **change}))  # type: ignore[arg-type]
        assert reports[0].epoch == 1

    def test_what_changes_no_weight_changes_no_fingerprint(self, tmp_path: Path) -> None:
        task = make_task(tmp_path)
        same = replace(task, train=replace(task.train, output_dir="elsewhere", keep_checkpoints=5, max_bad_steps=3))
        other = replace(task, model=ModelConfig(conv_channels=4, num_rnn_layers=1, rnn_hidden_dim=25))
        fine_tuned = replace(task, initial_state={"output.bias": torch.ones(2)})
        assert settings_fingerprint(same) == settings_fingerprint(task)
        assert len({settings_fingerprint(each) for each in (task, other, fine_tuned)}) == 3

    def test_a_corrupt_checkpoint_is_found_and_the_one_before_it_used(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_epochs=4)
        whole, _ = train(task)
        for path in (tmp_path / "checkpoints").iterdir():
            path.unlink()
        with pytest.raises(Killed):
            train(task, killed_after(3))
        newest = max((tmp_path / "checkpoints").glob("*.pt"))
        data = bytearray(newest.read_bytes())
        data[len(data) // 2] ^= 1
        newest.write_bytes(data)
        said: list[str] = []
        base, reports = train(task, say=said.append)
        assert len(said) == 2
        assert said[0].startswith(f"checkpoint {newest}: is damaged: {len(data)} bytes of {len(data)}")
        assert said[1].startswith("going on from step 6, in epoch 3 of 4 at its start")
        assert [epoch.epoch for epoch in reports] == [3, 4]
        assert_equal_weights(base, whole)

    def test_only_the_newest_checkpoints_are_kept(self, tmp_path: Path) -> None:
        train(make_task(tmp_path, num_epochs=4, keep_checkpoints=2))
        names = sorted(path.name for path in (tmp_path / "checkpoints").glob("*.pt"))
        assert [name[:9] for name in names] == ["000000009", "000000012"]

    def test_fine_tuning_starts_from_the_given_weights(self, tmp_path: Path) -> None:
        base, _ = train(make_task(tmp_path, num_epochs=3))
        task = replace(make_task(tmp_path, num_epochs=1, learning_rate=1e-9), initial_state=weights(base))
        tuned, _ = train(task)
        for name, parameter in tuned.model.named_parameters():
            torch.testing.assert_close(parameter, dict(base.model.named_parameters())[name], atol=1e-6, rtol=0)


class TestBest:
    def test_early_stopping_publishes_the_best_epoch(self, tmp_path: Path) -> None:
        # a rate that falls apart after it has learned: the best epoch is not the last
        task = make_task(tmp_path, num_epochs=12, learning_rate=0.3, patience_epochs=2, schedule=Schedule.warmup_cosine)
        states: list[EpochReport] = []
        said: list[str] = []
        base, reports = train(task, states.append, say=said.append)
        errors = [epoch.error(ErrorMetric.wer) for epoch in reports]
        best = errors.index(min(errors))
        assert len(reports) == best + 3 < 12
        assert said == [f"the base is that of epoch {best + 1}, the best one"]
        validated = Validator(task, torch.device("cpu"))
        with validated:
            assert validated(base.model) == pytest.approx(
                (reports[best].valid_loss, reports[best].wer, reports[best].cer)
            )
        again, reports_again = train(task, say=said.append)
        assert reports_again == reports[-1:]
        assert_equal_weights(again, base)
        for path in (tmp_path / "checkpoints").glob(f"{3 * (best + 1):09d}-*.pt"):
            path.unlink()
        last, _ = train(task, say=said.append)
        assert "is lost" in said[-1]
        assert last.fingerprint != base.fingerprint

    def test_averaged_weights_are_what_is_validated_and_published(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_epochs=3, ema_decay=0.9)
        base, reports = train(task)
        with Validator(task, torch.device("cpu")) as validator:
            assert validator(base.model)[0] == pytest.approx(reports[-1].valid_loss)
        plain, _ = train(make_task(tmp_path, num_epochs=3, ema_decay=0.0))
        assert plain.fingerprint != base.fingerprint


def test_progress_is_told_in_lines(tmp_path: Path) -> None:
    told: list[Progress] = []
    task = make_task(tmp_path, num_epochs=2, log_every_s=0.0, accumulate_steps=2, batch_size=3)
    _, reports = train(task, progress=told.append)
    assert [(each.epoch, each.step_of_epoch, each.step) for each in told] == [
        *((1, 1, 1), (1, 2, 2), (1, 3, 3)),
        *((2, 1, 4), (2, 2, 5), (2, 3, 6)),
    ]
    assert {each.steps_of_epoch for each in told} == {3}
    assert told[-1].eta_s == 0.0
    assert all(0 <= each.padding_share < 0.5 and 0 <= each.data_wait_share <= 1 and each.step_s > 0 for each in told)
    assert sum(each.loss for each in told[:3]) / 3 == pytest.approx(reports[0].train_loss)
    assert train(make_task(tmp_path, num_epochs=1, log_every_s=1e9), progress=told.append)
    assert len(told) == 6


def test_speech_in_shards_trains_what_speech_in_files_trains(tmp_path: Path) -> None:
    task = make_task(tmp_path, num_epochs=2, batch_s=3.0)
    expected, _ = train(task)
    data = load_training_data(
        replace(
            task.train, manifest=pack(tmp_path / "packed", task.train_utterances, num_shards=1), valid_fraction=0.2
        ),
        DataConfig(),
        TextConfig(),
        task.audio,
        task.vocabulary,
    )
    packed = sorted([*data.train, *data.valid], key=lambda utterance: utterance.utterance_id)
    assert all(is_packed(utterance.audio) for utterance in packed)
    base, _ = train(replace(task, train_utterances=packed, checkpoint_uri=str(tmp_path / "other")))
    assert_equal_weights(base, expected)


class TestRanks:
    def test_two_ranks_train_what_one_process_trains(self, tmp_path: Path) -> None:
        folder = tmp_path / "two"
        folder.mkdir()
        write_task(folder, num_epochs=3, batch_size=3, num_train=20, num_valid=5, optimizer="sgd")
        ranks = program(folder, "--world-size", "2")
        task = read_task(folder)
        alone = replace(
            task, train=replace(task.train, batch_size=6), checkpoint_uri=str(tmp_path / "alone" / "checkpoints")
        )
        expected, expected_reports = train(alone)
        assert ranks.wait(120) == 0
        first, second = (load_model_file(str(folder / f"model-{rank}.pt")) for rank in range(2))
        assert_equal_weights(first, second)
        for name, tensor in weights(expected).items():
            torch.testing.assert_close(weights(first)[name], tensor, atol=1e-4, rtol=1e-3)
        results = [json.loads((folder / f"result-{rank}.json").read_text()) for rank in range(2)]
        for epochs in zip(*(result["reports"] for result in results), expected_reports, strict=True):
            seen = [EpochReport(**epoch) if isinstance(epoch, dict) else epoch for epoch in epochs]
            assert replace(seen[0], seconds=0.0) == replace(seen[1], seconds=0.0)
            assert seen[0].train_loss == pytest.approx(seen[2].train_loss, rel=1e-3)
            assert seen[0].valid_loss == pytest.approx(seen[2].valid_loss, rel=1e-3)
            assert seen[0].cer == pytest.approx(seen[2].cer)
            assert seen[0].speech_s == pytest.approx(seen[2].speech_s)
        # checkpoints that rank 0 finds damaged end both ranks, instead of leaving one to wait for the other
        assert all("no checkpoint is left" in result["with_damaged_checkpoint"] for result in results)

    def test_one_process_goes_on_in_mid_epoch_where_two_ranks_stopped(self, tmp_path: Path) -> None:
        write_task(tmp_path, num_epochs=2, batch_s=2.0, num_train=20)
        assert program(tmp_path, "--world-size", "2", "--stop-after", "3").wait(120) == 75
        task = read_task(tmp_path)
        said: list[str] = []
        _, reports = train(task, say=said.append)
        assert said == [f"going on from step 3, in epoch 1 of 2 after 3 steps of it, of {tmp_path}/checkpoints"]
        assert [epoch.epoch for epoch in reports] == [1, 2]
        speech_s = sum(utterance.duration_s or 0.0 for utterance in task.train_utterances)
        assert [epoch.speech_s for epoch in reports] == [pytest.approx(speech_s)] * 2


class TestDamage:
    def test_unreadable_speech_is_left_out_and_counted_even_alone_in_its_batch(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_train=7, num_epochs=2, batch_size=1)
        utterances = [damaged(task.train_utterances[0]), *task.train_utterances[1:]]
        valid = [damaged(task.valid_utterances[0])]
        _, reports = train(replace(task, train_utterances=utterances, valid_utterances=valid))
        assert [epoch.unreadable for epoch in reports] == [1, 1]
        assert "1 unreadable" in reports[0].line()
        assert "valid_loss" not in reports[0].metrics()

    def test_nothing_readable_is_an_error(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_train=3)
        task = replace(task, train_utterances=[damaged(utterance) for utterance in task.train_utterances])
        with pytest.raises(InputError, match="none of the 3 training utterances"):
            train(task)

    def test_a_step_without_a_finite_gradient_is_skipped_and_counted(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_train=12, num_epochs=2, batch_size=4)
        loud = replace(task.train_utterances[0], audio=str(tmp_path / "loud.wav"))
        # finite samples whose power is not: what a broken converter writes
        samples = np.full(SAMPLE_RATE_HZ // 2, 1e30, dtype=np.float32)
        soundfile.write(loud.audio, samples, SAMPLE_RATE_HZ, subtype="FLOAT")
        base, reports = train(replace(task, train_utterances=[loud, *task.train_utterances[1:]]))
        assert [epoch.bad_steps for epoch in reports] == [1, 2]
        assert math.isfinite(reports[-1].train_loss)
        assert all(tensor.isfinite().all() for tensor in weights(base).values())

    def test_divergence_ends_training(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_epochs=9, learning_rate=1e30, max_bad_steps=4, schedule=Schedule.constant)
        with pytest.raises(TrainingDivergedError, match=r"4 steps in a row.*train\.learning_rate \(1e\+30\)"):
            train(task)

    def test_divergence_is_remembered_over_a_restart(self, tmp_path: Path) -> None:
        task = make_task(tmp_path, num_epochs=9, learning_rate=1e30, max_bad_steps=7, schedule=Schedule.constant)
        whole: list[EpochReport] = []
        with pytest.raises(TrainingDivergedError) as uninterrupted:
            train(task, whole.append)
        for path in (tmp_path / "checkpoints").iterdir():
            path.unlink()
        with pytest.raises(Killed):
            train(task, killed_after(2))
        with pytest.raises(TrainingDivergedError) as resumed:
            train(task)
        assert str(resumed.value) == str(uninterrupted.value)

    def test_fewer_utterances_than_ranks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ds2ray.training.base.rank_and_world_size", lambda: (0, 5))
        with pytest.raises(InputError, match="3 training utterances cannot be divided among 5 workers"):
            train(make_task(tmp_path, num_train=3))
