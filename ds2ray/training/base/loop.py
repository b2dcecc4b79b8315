"""Training a base: the epoch loop, alone or as one rank of a torch DDP group.

A training that was killed and is started again ends with the weights of one that was never killed: the learning rate,
the data order and every random draw follow from the position in the training and the rank alone.
"""

import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from ds2ray.batching.batches import SpeechDataset
from ds2ray.batching.epoch_plan import Batching, Course, epoch_course
from ds2ray.errors import ArtifactCorruptError, InputError, InterruptedRunError, TrainingDivergedError
from ds2ray.model.building import build_model
from ds2ray.model.weights import Base
from ds2ray.packs.references import WINDOW_GROUPS, keep_mb, row_groups_of
from ds2ray.sound.noise import NoiseFolder
from ds2ray.training.base.checkpoint import CheckpointWriter, load_best, load_latest
from ds2ray.training.base.learner import Learner
from ds2ray.training.base.loading import Loader
from ds2ray.training.base.ranks import from_rank_zero, rank_and_world_size, summed
from ds2ray.training.base.reports import EpochReport, Observer, Progress, StepSums, Window
from ds2ray.training.base.run_state import RunState
from ds2ray.training.base.task import BaseTask
from ds2ray.training.base.validation import Validator
from ds2ray.training.optim import learning_rate_at
from ds2ray.training.seeds import derive_seed


def train_base(task: BaseTask, device: torch.device | str, observer: Observer) -> Base:
    """Train to the last epoch and return the base; to be called on every rank of the process group, if there is one.

    With `train.patience_epochs` the base is that of the best epoch, else that of the last.

    Raises:
        TrainingDivergedError: `train.max_bad_steps` steps in a row had no finite gradient.
        InterruptedRunError: the observer stopped the training; its state is saved.
        InputError: there are fewer utterances than ranks, or none can be decoded.
        ArtifactCorruptError: there are checkpoints to go on from, but none is intact.
    """
    with ExitStack() as resources:
        run = _Run(task, torch.device(device), observer, resources)
        if run.is_finished() and run.state.report is not None:
            observer.epoch(EpochReport(**run.state.report))
        while not run.is_finished():
            run.train_epoch()
            observer.epoch(run.end_epoch())
        base = run.finished_base()
        if run.state.report is not None:
            observer.published(EpochReport(**run.state.report))
        return base


class _Run:
    """A training on this rank, from its newest checkpoint on."""

    def __init__(self, task: BaseTask, device: torch.device, observer: Observer, resources: ExitStack) -> None:
        self.task, self.config, self.device, self.observer = task, task.train, device, observer
        self.rank, self.world_size = rank_and_world_size()
        config, num_utterances = self.config, len(task.train_utterances)
        if num_utterances < self.world_size:
            raise InputError(
                f"{num_utterances} training utterances cannot be divided among {self.world_size} workers; "
                "lower cluster.num_workers"
            )
        torch.manual_seed(config.seed)
        model = build_model(task.model, task.audio, len(task.vocabulary)).to(device)
        if task.initial_state is not None:
            model.load_state_dict(task.initial_state)
        self.learner = Learner(model, config, device, task.silence_rows, task.vocabulary.space)
        augment = config.augment
        noise = NoiseFolder(augment, task.audio.sample_rate_hz) if augment.noise_dir else None
        dataset = SpeechDataset(task.train_utterances, task.vocabulary, task.audio, augment.speeds, config.seed, noise)
        keep_mb(config.shard_cache_mb)
        self.loader = resources.enter_context(Loader(dataset, config.loader_threads))
        self.validator = resources.enter_context(Validator(task, device))
        self.row_groups = row_groups_of(utterance.audio for utterance in task.train_utterances)
        self.batching = Batching(
            config.batch_size, config.batch_s, config.accumulate_steps, config.sorta_grad, config.seed, WINDOW_GROUPS
        )
        self.settings = task.fingerprint
        self.state = RunState()
        if self.rank == 0:
            observer.doing("reading the first batches")
        self._resume()
        self.checkpoints = CheckpointWriter(task.checkpoint_uri, self.settings, config.keep_checkpoints)
        if self.rank == 0:
            resources.enter_context(self.checkpoints)
        self.saved: tuple[int, int] | None = None  # where the newest checkpoint stands: finished epochs and steps …
        self.saved_at_s = time.perf_counter()  # … and when it was written
        self.windows = [Window(config.log_every_s, observer.progress), Window(observer.now_every_s, observer.now)]

    def _resume(self) -> None:
        if not self.config.resume:
            return

        def load() -> dict[str, Any] | None:
            return load_latest(self.task.checkpoint_uri, self.settings, self.observer.say)

        # read once and handed round: a rank on another machine may not see the same folder
        saved = from_rank_zero(load, self.device)
        if saved is None:
            return
        self.learner.load_state(saved["learner"])
        self.state = RunState.of(saved["run"])
        if self.rank == 0 and not self.is_finished():
            self.observer.say(f"going on from step {self.state.step}, {self._place()}, of {self.task.checkpoint_uri}")

    def _place(self) -> str:
        steps = sum(steps for _, steps in self.state.done)
        within = f"after {steps} steps of it" if steps else "at its start"
        return f"in epoch {self.state.epochs + 1} of {self.config.num_epochs} {within}"

    def is_finished(self) -> bool:
        """Whether all epochs are done, or `train.patience_epochs` of them have brought no better error."""
        config, state = self.config, self.state
        impatient = 0 < config.patience_epochs <= state.epochs - state.best_epoch
        return state.epochs >= config.num_epochs or impatient

    def train_epoch(self) -> None:
        """Train on what is left of the epoch under way."""
        self.learner.wrapped.train()
        state = self.state
        self.loader.dataset.epoch = state.epochs
        durations_s = np.array(self.loader.dataset.durations_s(), dtype=np.float64)
        done = [(ranks, steps) for ranks, steps in state.done]
        # what an earlier release has begun is ended in its way
        state.own_groups = state.own_groups or not done
        batching = replace(self.batching, own_groups=state.own_groups)
        course = epoch_course(durations_s, batching, state.epochs, done, self.world_size, self.row_groups)
        if not done or done[-1] != (self.world_size, course.first_step):
            state.done.append([self.world_size, 0])
        step_at_s = time.perf_counter()
        for window in self.windows:
            window.since_s = step_at_s
        own, losses = StepSums(), list[torch.Tensor]()
        for loaded in self.loader.rest_of_epoch(course, self.rank):
            if not losses:
                torch.manual_seed(derive_seed(self.config.seed, state.step, self.rank))
            num_utterances = course.plan.num_utterances(loaded.step)
            losses.append(self.learner.accumulate(loaded.batch, num_utterances, weight=loaded.weight, last=loaded.last))
            own += loaded.sums()
            if loaded.last:
                loss = self._update(course, loaded.step, torch.stack(losses))
                own.loss, own.utterances = (0.0, 0.0) if loss is None else (loss, own.utterances)
                now_s = time.perf_counter()
                own.seconds = now_s - step_at_s
                self._after_step(course, loaded.step, own)
                step_at_s, own, losses = now_s, StepSums(), []

    def _update(self, course: Course, step: int, losses: torch.Tensor) -> float | None:
        """Update the weights; returns the sum of this rank's losses, or None where the step was skipped."""
        config, state = self.config, self.state
        place = state.epochs * course.num_steps + course.steps_before + step
        state.learning_rate = learning_rate_at(
            place,
            config.num_epochs * course.num_steps,
            config.learning_rate,
            config.schedule,
            config.warmup_fraction,
            config.hold_fraction,
        )
        if self.learner.update(state.learning_rate):
            state.bad_steps_in_a_row = 0
            return float(losses.sum())
        state.bad_steps += 1
        state.bad_steps_in_a_row += 1
        if state.bad_steps_in_a_row >= config.max_bad_steps:
            raise TrainingDivergedError(
                f"{state.bad_steps_in_a_row} steps in a row up to step {state.step} had no finite gradient; lower "
                f"train.learning_rate ({config.learning_rate:g}) or look for damaged audio; checkpoints are kept in "
                f"{self.task.checkpoint_uri}"
            )
        return None

    def _after_step(self, course: Course, step: int, own: StepSums) -> None:
        """Count, report, save and stop, in the same way on all ranks."""
        every_s, now_s = self.config.checkpoint_every_s, time.perf_counter()
        save = self.rank == 0 and 0 < every_s <= now_s - self.saved_at_s and not self.checkpoints.busy
        # one exchange per step: what was done, and whether any rank wants to save or stop
        *sums, saves, stops = summed([*vars(own).values(), save, self.observer.stopped()], self.device)
        state, done = self.state, StepSums.of(sums)
        done.seconds, done.wait_s = done.seconds / self.world_size, done.wait_s / self.world_size
        state.sums += done
        state.step += 1
        state.done[-1][1] = step + 1
        for window in self.windows:
            window.sums += done
            window.num_steps += 1
            if self.rank == 0 and now_s - window.since_s >= window.every_s:
                window.tell(self._progress(course, step, window))
                window.sums, window.num_steps, window.since_s = StepSums(), 0, now_s
        if saves or stops:
            self._save()
        if stops:
            self._interrupt()

    def _progress(self, course: Course, step: int, of: Window) -> Progress:
        window, config = of.sums, self.config
        of_epoch = course.steps_before + step + 1
        left = (config.num_epochs - self.state.epochs) * course.num_steps - of_epoch
        step_s = window.seconds / of.num_steps
        return Progress(
            step=self.state.step,
            epoch=self.state.epochs + 1,
            num_epochs=config.num_epochs,
            step_of_epoch=of_epoch,
            steps_of_epoch=course.num_steps,
            loss=window.mean_loss(),
            learning_rate=self.state.learning_rate,
            speech_per_time=window.samples / self.task.audio.sample_rate_hz / max(window.seconds, 1e-9),
            padding_share=window.padding_share(),
            data_wait_share=window.wait_s / max(window.seconds, 1e-9),
            step_s=step_s,
            eta_s=left * step_s,
            bad_steps=self.state.bad_steps,
            gradient_norm=self.learner.gradient_norm,
        )

    def _save(self, error: list[float] | None = None) -> None:
        place = (self.state.epochs, self.state.step)
        if self.rank == 0 and self.saved != place:
            self.checkpoints.save(self.state.step, {"learner": self.learner.state(), "run": asdict(self.state)}, error)
        self.saved, self.saved_at_s = place, time.perf_counter()

    def _interrupt(self) -> None:
        self.checkpoints.wait()
        summed([0.0], self.device)  # a barrier: the first rank to end ends the others, so the state must be written
        raise InterruptedRunError(
            f"stopped {self._place()}; run it again to go on from there: the state is in {self.task.checkpoint_uri}"
        )

    def end_epoch(self) -> EpochReport:
        """Validate, and save a checkpoint where one is due."""
        state, sums = self.state, self.state.sums
        if self.rank == 0:
            self.observer.doing(f"epoch {state.epochs + 1}/{self.config.num_epochs}: validating")
        valid_loss, wer, cer = self.validator(self.learner.result, self.observer.stopped)
        if summed([self.observer.stopped()], self.device)[0]:
            self._save()
            self._interrupt()
        report = EpochReport(
            epoch=state.epochs + 1,
            num_epochs=self.config.num_epochs,
            train_loss=sums.mean_loss(),
            valid_loss=valid_loss,
            wer=wer,
            cer=cer,
            learning_rate=state.learning_rate,
            speech_s=sums.samples / self.task.audio.sample_rate_hz,
            seconds=sums.seconds,
            padding_share=sums.padding_share(),
            bad_steps=state.bad_steps,
            unreadable=int(sums.unreadable),
        )
        error = report.error(self.config.metric)
        best = not state.best_error or error < state.best_error
        if best:
            state.best_epoch, state.best_error = report.epoch, error
        state.epochs, state.done, state.sums, state.report = report.epoch, [], StepSums(), asdict(report)
        due = report.epoch % self.config.checkpoint_every_epochs == 0
        if due or self.is_finished() or (best and self.config.patience_epochs):
            self._save(error)
        return report

    def finished_base(self) -> Base:
        """The base of the last epoch, or with `train.patience_epochs` of the best one."""
        task = self.task
        self.checkpoints.wait()
        if self.config.patience_epochs and self.state.best_epoch != self.state.epochs:
            best = from_rank_zero(self._load_best, self.device)
            if best is not None:
                self.learner.load_result(best["learner"])
                self.state.report = best["run"]["report"]
        return Base.of(self.learner.result.eval(), task.model, task.audio, task.vocabulary)

    def _load_best(self) -> dict[str, Any] | None:
        try:
            saved = load_best(self.task.checkpoint_uri, self.settings)
        except (ArtifactCorruptError, FileNotFoundError) as error:
            self.observer.say(f"the best epoch, {self.state.best_epoch}, is lost ({error}); the base is the last one's")
            return None
        if saved is None:
            return None
        self.observer.say(f"the base is that of epoch {saved['run']['epochs']}, the best one")
        return saved
