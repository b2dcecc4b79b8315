"""Base training that was stopped, killed or damaged goes on as if it had not been."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from base_training import (
    Killed,
    assert_equal_weights,
    killed_after,
    make_task,
    program,
    read_task,
    stop_after,
    train,
    weights,
    write_task,
)
from toy_speech import SAMPLE_RATE_HZ, speak

from ds2ray.config import ModelConfig, Schedule, Tracker
from ds2ray.errors import InterruptedRunError
from ds2ray.model.files import load_model_file
from ds2ray.sound.audio import write_audio
from ds2ray.training.base.reports import EpochReport
from ds2ray.training.base.task import settings_fingerprint
from ds2ray.training.optim import learning_rate_at

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
"""Settings that a resumed training could lose track of."""


class TestResume:
    @pytest.mark.process
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
        before, _ = train(make_task(tmp_path, num_epochs=2))
        said: list[str] = []
        changed = make_task(tmp_path, **{"num_epochs": 2, "keep_checkpoints": 1, **change})  # type: ignore[arg-type]
        _, reports = train(changed, say=said.append)
        assert reports[0].epoch == 1
        assert [line.partition(":")[0] for line in said] == ["starting afresh"]
        again, reports = train(make_task(tmp_path, num_epochs=2))  # what was trained before is still there
        assert [epoch.epoch for epoch in reports] == [2]
        assert_equal_weights(again, before)

    def test_what_changes_no_weight_changes_no_fingerprint(self, tmp_path: Path) -> None:
        task = make_task(tmp_path)
        same = replace(
            task,
            train=replace(
                task.train,
                output_dir="elsewhere",
                keep_checkpoints=5,
                max_bad_steps=3,
                shard_cache_mb=64.0,
                data_page="there.html",
                report_sample=3,
                doctor=True,
                doctor_s=1.0,
                tracker=Tracker.mlflow,
                tracker_uri="elsewhere",
            ),
        )
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
