"""Validation: loss and errors of a base on the validation data, which is divided among the ranks."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain, pairwise

import numpy as np
import torch

from ds2ray.batching.batches import Batch, SpeechDataset, batches_by_seconds, epoch_batches, prefetched
from ds2ray.batching.epoch_plan import Batching, plan_epoch
from ds2ray.config import ErrorMetric, TrainConfig
from ds2ray.decoding.decoder import Decoder
from ds2ray.decoding.greedy import Greedy
from ds2ray.decoding.scoring import score_decoded
from ds2ray.metrics import ErrorCount, Score
from ds2ray.model.acoustic import AcousticModel
from ds2ray.packs.references import WINDOW_GROUPS, row_groups_of
from ds2ray.training.base.loading import Loader
from ds2ray.training.base.ranks import rank_and_world_size, summed
from ds2ray.training.base.task import BaseTask
from ds2ray.training.optim import ctc_losses


class Validator:
    """Validates models on a task's validation data; its threads end with the context."""

    def __init__(self, task: BaseTask, device: torch.device, decoder: Decoder = Greedy()) -> None:
        self.task, self.device, self.decoder = task, device, decoder
        dataset = SpeechDataset(task.valid_utterances, task.vocabulary, task.audio)
        self.loader = Loader(dataset, task.train.loader_threads)
        groups = row_groups_of(utterance.audio for utterance in task.valid_utterances)
        self.windows = validation_batches(dataset.durations_s(), task.train, groups, *rank_and_world_size())

    def __enter__(self) -> "Validator":
        self.loader.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.loader.__exit__(*error)

    @torch.no_grad()
    def __call__(self, model: AcousticModel, stopped: Callable[[], bool] = lambda: False) -> tuple[float, float, float]:
        """Mean loss per token and utterance (NaN where none can be decoded), WER and CER, over all ranks.

        Args:
            stopped: asked before each batch; after a yes this rank leaves the rest out, and the result is of no use.
        """
        training = model.training
        model.eval()
        loss, utterances, score = 0.0, 0, Score()
        for loaded in prefetched(self._own_batches(), self._load):
            if stopped():
                break
            if loaded is None:
                continue
            batch = loaded.to(self.device)
            log_probs, lengths = model(*model.features(batch.waveforms, batch.num_samples))
            loss += float(ctc_losses(log_probs, lengths, batch.tokens, batch.num_tokens).sum())
            utterances += len(batch)
            score += score_decoded(self.decoder.decode(log_probs, lengths), batch.transcripts, self.task.vocabulary)
        model.train(training)
        words, characters = asdict(score.words), asdict(score.characters)
        totals = summed([loss, utterances, *words.values(), *characters.values()], self.device)
        counts = [int(value) for value in totals[2:]]
        total = Score(ErrorCount(*counts[: len(words)]), ErrorCount(*counts[len(words) :]))
        mean_loss = totals[0] / totals[1] if totals[1] else math.nan
        return mean_loss, total.rate(ErrorMetric.wer), total.rate(ErrorMetric.cer)

    def _own_batches(self) -> Iterator[list[int]]:
        """The batches of this rank; while one window is computed on, the next one is read."""
        for window, following in zip(self.windows, [*self.windows[1:], []], strict=True):
            if following:
                self.loader.read_ahead(chain(*window, *following))
            yield from window

    def _load(self, indices: Sequence[int]) -> Batch | None:
        return self.loader.decode(indices)[0]


def validation_batches(
    durations_s: Sequence[float], train: TrainConfig, groups: np.ndarray | None, rank: int, world_size: int
) -> list[list[list[int]]]:
    """A rank's share of the batches, by window; all ranks together have the same batches, however many they are.

    Args:
        groups: row groups in shards, as for `plan_epoch`: no window spans more than `WINDOW_GROUPS`, and the batches of
            a rank are of as few windows as possible. None: there is one window.
    """
    if groups is None:
        if train.batch_s > 0:
            batches = batches_by_seconds(durations_s, train.batch_s)
        else:
            batches = epoch_batches(durations_s, train.batch_size, 1, seed=0, epoch=0)
        return [batches[rank::world_size]]
    batching = Batching(train.batch_size, train.batch_s, window_groups=WINDOW_GROUPS)
    plan = plan_epoch(np.array(durations_s), np.arange(len(durations_s)), batching, 0, 1, groups)
    first, end = (len(plan) * bound // world_size for bound in (rank, rank + 1))
    windows = [
        [batch for step in range(max(start, first), min(stop, end)) for batch in plan.batches(step, 0)]
        for start, stop in pairwise([*plan.window_starts, len(plan)])
    ]
    return [window for window in windows if window]
