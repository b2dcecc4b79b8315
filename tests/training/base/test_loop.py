"""Base training: learning, resuming after a kill, ranks, damaged speech and divergence."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from base_training import (
    Killed,
    assert_equal_weights,
    damaged,
    killed_after,
    make_task,
    program,
    read_task,
    train,
    weights,
    write_task,
)
from parrot import Parrot
from shards import pack
from toy_speech import SAMPLE_RATE_HZ, make_utterances

from ds2ray.config import LAST_LAYER, DataConfig, ErrorMetric, Schedule, TextConfig
from ds2ray.decoding.greedy import Greedy
from ds2ray.decoding.scoring import score_decoded
from ds2ray.errors import InputError, TrainingDivergedError
from ds2ray.metrics import Score, score_texts
from ds2ray.model.building import build_model
from ds2ray.model.files import load_model_file
from ds2ray.packs.references import is_packed
from ds2ray.shapes.architectures import shape_of
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.base.reports import EpochReport, Progress
from ds2ray.training.base.sources import load_training_data
from ds2ray.training.base.validation import Validator


def test_a_tiny_model_learns(trained_base: Any) -> None:
    reports: list[EpochReport] = trained_base.reports
    assert [epoch.epoch for epoch in reports] == list(range(1, 21))
    assert reports[-1].train_loss < 0.3 * reports[0].train_loss
    assert reports[-1].valid_loss < 0.3 * reports[0].valid_loss
    assert reports[-1].cer < 0.3
    assert reports[-1].bad_steps == reports[-1].unreadable == 0
    assert not trained_base.base.model.training


def test_the_reported_errors_are_those_of_the_validation_data_alone(tmp_path: Path) -> None:
    # of voices that the training data lack: it learns, and errs less on what it is trained on
    voices = make_utterances(tmp_path, 7, seed=3, pitch=1.3)
    task = replace(make_task(tmp_path, num_train=64, num_epochs=6), valid_utterances=voices)
    base, reports = train(task)
    score = Score()
    for utterance in task.valid_utterances:
        encodings = Encoder(base).encode([utterance]).encodings[0]
        assert encodings is not None
        lengths = torch.tensor([len(encodings)])
        with torch.no_grad():
            log_probs = base.model.head(encodings[None], lengths, LAST_LAYER)
        score += score_decoded(Greedy().decode(log_probs, lengths), [utterance.transcript], base.vocabulary)
    assert reports[-1].wer == pytest.approx(score.rate(ErrorMetric.wer))
    assert reports[-1].cer == pytest.approx(score.rate(ErrorMetric.cer))
    assert 0 < reports[-1].cer < 0.8 < reports[0].cer  # errors of other epochs or data, counted again, would show


def test_the_decoder_that_is_handed_over_makes_the_errors(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    model = build_model(task.model, task.audio, len(task.vocabulary))
    heard = task.valid_utterances[0].transcript
    with Validator(task, torch.device("cpu"), Parrot(tuple(task.vocabulary.encode_known(heard)))) as validator:
        _, wer, cer = validator(model)
    transcripts = [utterance.transcript for utterance in task.valid_utterances]
    expected = score_texts(transcripts, [heard] * len(transcripts))
    assert (wer, cer) == (expected.rate(ErrorMetric.wer), expected.rate(ErrorMetric.cer))
    assert 0 < cer < 1


def test_the_log_line_says_what_matters(tmp_path: Path) -> None:
    _, reports = train(make_task(tmp_path, num_epochs=1))
    line = reports[0].line()
    assert line.startswith("epoch 1/1 · loss ")
    assert "WER" in line
    assert "bad steps" not in line
    assert all(math.isfinite(value) for value in reports[0].metrics().values())


class TestBest:
    def test_early_stopping_publishes_the_best_epoch(self, tmp_path: Path) -> None:
        # a rate that falls apart after it has learned: the best epoch is not the last
        task = make_task(tmp_path, num_epochs=12, learning_rate=0.3, patience_epochs=2, schedule=Schedule.warmup_cosine)
        states: list[EpochReport] = []
        said: list[str] = []
        published: list[EpochReport] = []
        base, reports = train(task, states.append, say=said.append, published=published.append)
        errors = [epoch.error(ErrorMetric.wer) for epoch in reports]
        best = errors.index(min(errors))
        assert len(reports) == best + 3 < 12
        assert said == [f"the base is that of epoch {best + 1}, the best one"]
        assert published == [reports[best]]
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
        shape_of(task.model, task.audio),
        task.vocabulary,
    )
    packed = sorted([*data.train, *data.valid], key=lambda utterance: utterance.utterance_id)
    assert all(is_packed(utterance.audio) for utterance in packed)
    base, _ = train(replace(task, train_utterances=packed, checkpoint_uri=str(tmp_path / "other")))
    assert_equal_weights(base, expected)


class TestRanks:
    @pytest.mark.process
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

    @pytest.mark.process
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
        monkeypatch.setattr("ds2ray.training.base.loop.rank_and_world_size", lambda: (0, 5))
        with pytest.raises(InputError, match="3 training utterances cannot be divided among 5 workers"):
            train(make_task(tmp_path, num_train=3))
