"""Training a base: the epoch loop, alone or as one rank of a torch DDP group.

A run that was killed and is started again ends with the weights of one that was never killed: the learning rate,
the data order and every random draw follow from the step and the rank alone.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ds2ray.config import AudioConfig, ErrorMetric, ModelConfig, TrainConfig, to_plain
from ds2ray.data.batches import Batch, Example, SpeechDataset, collate, epoch_batches, prefetched
from ds2ray.data.features import LogMel, spec_augment
from ds2ray.data.manifest import Utterance
from ds2ray.errors import InputError, TrainingDivergedError
from ds2ray.metrics import ErrorCount
from ds2ray.model.decode import greedy
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.weights import Base
from ds2ray.text import Vocabulary
from ds2ray.training.checkpoint import load_latest, save_checkpoint
from ds2ray.training.evaluation import Score, score_decoded
from ds2ray.training.optim import build_optimizer, clip_gradients, ctc_losses, learning_rate_at, set_learning_rate
from ds2ray.training.ranks import data_parallel, from_rank_zero, rank_and_world_size, summed
from ds2ray.training.seeds import derive_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaseTask:
    """Everything that determines a trained base.

    Attributes:
        initial_state: weights to fine-tune; None: from scratch.
        checkpoint_uri: folder that receives checkpoints.
    """

    model: ModelConfig
    audio: AudioConfig
    vocabulary: Vocabulary
    train: TrainConfig
    train_utterances: Sequence[Utterance]
    valid_utterances: Sequence[Utterance]
    checkpoint_uri: str
    initial_state: dict[str, torch.Tensor] | None = None


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did, summed over ranks."""

    epoch: int  # counted from 1
    num_epochs: int
    train_loss: float  # mean CTC loss per token and utterance, of the steps with a finite gradient
    valid_loss: float
    wer: float
    cer: float
    learning_rate: float
    speech_s: float  # audio trained on
    seconds: float
    padding_share: float  # of the padded audio
    bad_steps: int  # without a finite gradient, so far
    unreadable: int  # utterances whose audio could not be decoded, in this epoch

    def line(self) -> str:
        """One line for a log."""
        extra = f" · {self.bad_steps} bad steps" if self.bad_steps else ""
        extra += f" · {self.unreadable} unreadable" if self.unreadable else ""
        return (
            f"epoch {self.epoch}/{self.num_epochs} · loss {self.train_loss:.3f} · valid {self.valid_loss:.3f} · "
            f"WER {self.wer:.1%} · CER {self.cer:.1%} · {self.speech_s / self.seconds:.0f} s of speech per second · "
            f"padding {self.padding_share:.1%}{extra}"
        )

    def metrics(self) -> dict[str, float]:
        """All fields that are numbers: a loss that was never finite is left out."""
        return {name: value for name, value in asdict(self).items() if math.isfinite(value)}


@dataclass
class _EpochSums:
    loss: float = 0.0
    utterances: int = 0
    samples: int = 0
    padded_samples: int = 0
    unreadable: int = 0


def settings_fingerprint(task: BaseTask) -> str:
    """sha256 over all that must be equal for a checkpoint to be gone on from."""
    paths = {"manifest", "valid_manifest", "dataset_path", "transcripts_path", "vocab_path", "pretrained_model_path"}
    outputs = {"output_dir", "resume", "adapter_save_dir", "adapter_name", "base_model_path", "keep_checkpoints"}
    unimportant = paths | outputs | {"checkpoint_every_epochs", "max_bad_steps"}
    train = {name: value for name, value in to_plain(task.train).items() if name not in unimportant}
    data = [(u.utterance_id, u.duration_s, u.transcript) for u in task.train_utterances]
    described = [to_plain(task.model), to_plain(task.audio), task.vocabulary.to_json(), train, data]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    for name, tensor in sorted((task.initial_state or {}).items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def train_base(task: BaseTask, device: torch.device | str, report: Callable[[EpochReport], None]) -> Base:
    """Train to the last epoch and return the base; on every rank of the process group, if there is one.

    Args:
        report: called after each epoch, on every rank, with the same values; for a run that had already reached its
            last epoch, once.

    Raises:
        TrainingDivergedError: `train.max_bad_steps` steps in a row had no finite gradient.
        InputError: there are fewer utterances than ranks, or none can be decoded.
        ArtifactCorruptError: the checkpoint to go on from is damaged.
    """
    device = torch.device(device)
    rank, world_size = rank_and_world_size()
    config = task.train
    if len(task.train_utterances) < world_size:
        raise InputError(
            f"{len(task.train_utterances)} training utterances cannot be divided among {world_size} workers; "
            "lower cluster.num_workers"
        )
    torch.manual_seed(config.seed)
    model = DeepSpeech2.from_config(task.model, task.audio.num_mels, len(task.vocabulary)).to(device)
    if task.initial_state is not None:
        model.load_state_dict(task.initial_state)
    optimizer = build_optimizer(model.parameters(), config.optimizer, config.learning_rate, config.weight_decay)
    settings = settings_fingerprint(task)
    state: dict[str, Any] | None = None
    if config.resume:
        # read once and handed round: a rank on another machine may not see the same folder
        state = from_rank_zero(lambda: load_latest(task.checkpoint_uri, settings), device)
    start_epoch = 0
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start_epoch = state["report"]["epoch"]
        if rank == 0:
            log.info("resumed after epoch %d of %d from %s", start_epoch, config.num_epochs, task.checkpoint_uri)
    epochs = _Epochs(task, model, optimizer, device)
    if state is not None:
        epochs.bad_steps, epochs.bad_steps_in_a_row = state["report"]["bad_steps"], state["bad_steps_in_a_row"]
        if start_epoch == config.num_epochs:
            report(EpochReport(**state["report"]))
    for epoch in range(start_epoch, config.num_epochs):
        result = epochs.run(epoch)
        last = epoch + 1 == config.num_epochs
        if rank == 0 and (last or (epoch + 1) % config.checkpoint_every_epochs == 0):
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "report": asdict(result),
                "bad_steps_in_a_row": epochs.bad_steps_in_a_row,
            }
            step = (epoch + 1) * epochs.steps_per_epoch
            save_checkpoint(task.checkpoint_uri, step, state, settings, config.keep_checkpoints)
        report(result)
    return Base.of(model.eval(), task.model, task.audio, task.vocabulary)


class _Epochs:
    """The state of a run between epochs."""

    def __init__(
        self, task: BaseTask, model: DeepSpeech2, optimizer: torch.optim.Optimizer, device: torch.device
    ) -> None:
        self.task, self.config = task, task.train
        self.model, self.wrapped = model, data_parallel(model)
        self.optimizer, self.device = optimizer, device
        self.rank, self.world_size = rank_and_world_size()
        self.log_mel = LogMel(task.audio).to(device)
        speeds, seed = self.config.augment.speeds, self.config.seed
        self.dataset = SpeechDataset(task.train_utterances, task.vocabulary, task.audio, speeds, seed)
        self.valid_dataset = SpeechDataset(task.valid_utterances, task.vocabulary, task.audio)
        self.bad_steps, self.bad_steps_in_a_row = 0, 0
        self.steps_per_epoch = len(self._batches(epoch=0))
        self.learning_rate = 0.0

    def run(self, epoch: int) -> EpochReport:
        """Train one epoch and validate."""
        started_s = time.perf_counter()
        sums = self._train_epoch(epoch)
        train_s = time.perf_counter() - started_s
        valid_loss, score = self._validate()
        totals = summed([sums.loss, sums.utterances, sums.samples, sums.padded_samples, sums.unreadable], self.device)
        loss, utterances, samples, padded, unreadable = totals
        return EpochReport(
            epoch=epoch + 1,
            num_epochs=self.config.num_epochs,
            train_loss=loss / utterances if utterances else math.nan,
            valid_loss=valid_loss,
            wer=score.rate(ErrorMetric.wer),
            cer=score.rate(ErrorMetric.cer),
            learning_rate=self.learning_rate,
            speech_s=samples / self.task.audio.sample_rate_hz,
            seconds=train_s,
            padding_share=1 - samples / padded,
            bad_steps=self.bad_steps,
            unreadable=int(unreadable),
        )

    def _batches(self, epoch: int) -> list[list[int]]:
        durations_s = self.dataset.durations_s()
        return epoch_batches(durations_s, self.config.batch_size, self.world_size, self.config.seed, epoch)

    def _train_epoch(self, epoch: int) -> _EpochSums:
        self.wrapped.train()
        self.dataset.epoch = epoch
        sums = _EpochSums()
        batches = self._batches(epoch)

        own = [batch[self.rank :: self.world_size] for batch in batches]
        for position, (batch, unreadable) in enumerate(prefetched(own, self._load_for_training)):
            step = epoch * self.steps_per_epoch + position
            loss = self._step(batch, step, num_utterances=len(batches[position]))
            if loss is not None:
                sums.loss += loss
                sums.utterances += len(batch)
            sums.samples += int(batch.num_samples.sum())
            sums.padded_samples += batch.waveforms.numel()
            sums.unreadable += unreadable
        return sums

    def _load_for_training(self, indices: Sequence[int]) -> tuple[Batch, int]:
        """The utterances that can be decoded as a batch, and how many cannot."""
        examples, unreadable = self._decode(self.dataset, indices)
        # a rank needs something to do in every step: the next utterance that can be decoded stands in
        total = len(self.dataset)
        for offset in range(1, total):
            if examples:
                break
            examples, _ = self._decode(self.dataset, [(indices[-1] + offset) % total])
        if not examples:
            raise InputError(f"none of the {total} training utterances can be decoded; the reasons are in the log")
        return collate(examples), unreadable

    def _load_for_validation(self, indices: Sequence[int]) -> Batch | None:
        examples, _ = self._decode(self.valid_dataset, indices)
        return collate(examples) if examples else None

    def _decode(self, dataset: SpeechDataset, indices: Sequence[int]) -> tuple[list[Example], int]:
        examples, unreadable = [], 0
        for index in indices:
            try:
                examples.append(dataset[index])
            except (InputError, FileNotFoundError) as error:
                unreadable += 1
                log.warning("left out: utterance %s: %s", dataset.utterances[index].utterance_id, error)
        return examples, unreadable

    def _step(self, batch: Batch, step: int, num_utterances: int) -> float | None:
        """One optimizer step on this rank's part of a batch; returns the sum of its losses, or None if skipped."""
        total_steps = self.steps_per_epoch * self.config.num_epochs
        config = self.config
        self.learning_rate = learning_rate_at(
            step, total_steps, config.learning_rate, config.schedule, config.warmup_fraction
        )
        set_learning_rate(self.optimizer, self.learning_rate)
        torch.manual_seed(derive_seed(config.seed, step, self.rank))
        batch = batch.to(self.device)
        features, lengths = self.log_mel(batch.waveforms, batch.num_samples)
        log_probs, lengths = self.wrapped(spec_augment(features, lengths, config.augment), lengths)
        loss = ctc_losses(log_probs, lengths, batch.tokens, batch.num_tokens).sum()
        self.optimizer.zero_grad(set_to_none=True)
        # DDP averages over ranks; scaled so, the gradient is that of the mean over all ranks' utterances
        (loss * (self.world_size / num_utterances)).backward()
        if clip_gradients(self.model.parameters(), config.max_grad_norm).isfinite():
            self.optimizer.step()
            self.bad_steps_in_a_row = 0
            return float(loss.detach())
        self.bad_steps += 1
        self.bad_steps_in_a_row += 1
        if self.bad_steps_in_a_row >= config.max_bad_steps:
            raise TrainingDivergedError(
                f"{self.bad_steps_in_a_row} steps in a row up to step {step} had no finite gradient; lower "
                f"train.learning_rate ({config.learning_rate:g}) or look for damaged audio; checkpoints are kept in "
                f"{self.task.checkpoint_uri}"
            )
        return None

    @torch.no_grad()
    def _validate(self) -> tuple[float, Score]:
        self.wrapped.eval()
        loss, utterances, score = 0.0, 0, Score()
        durations_s = self.valid_dataset.durations_s()
        # the same batches on any number of ranks, dealt out in turn
        batches = epoch_batches(durations_s, self.config.batch_size, 1, seed=0, epoch=0)[self.rank :: self.world_size]
        for loaded in prefetched(batches, self._load_for_validation):
            if loaded is None:
                continue
            batch = loaded.to(self.device)
            log_probs, lengths = self.model(*self.log_mel(batch.waveforms, batch.num_samples))
            loss += float(ctc_losses(log_probs, lengths, batch.tokens, batch.num_tokens).sum())
            utterances += len(batch)
            score += score_decoded(greedy(log_probs, lengths), batch.transcripts, self.task.vocabulary)
        words, characters = asdict(score.words), asdict(score.characters)
        totals = summed([loss, utterances, *words.values(), *characters.values()], self.device)
        counts = [int(value) for value in totals[2:]]
        total = Score(ErrorCount(*counts[: len(words)]), ErrorCount(*counts[len(words) :]))
        return totals[0] / totals[1] if totals[1] else math.nan, total
