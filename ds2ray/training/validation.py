"""Loss and errors of a base on the validation data, which all ranks share out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch

from ds2ray.config import ErrorMetric
from ds2ray.data.batches import Batch, SpeechDataset, batches_by_seconds, epoch_batches, prefetched
from ds2ray.data.features import LogMel
from ds2ray.metrics import ErrorCount
from ds2ray.model.decode import greedy
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.training.evaluation import Score, score_decoded
from ds2ray.training.loading import Loader
from ds2ray.training.optim import ctc_losses
from ds2ray.training.ranks import rank_and_world_size, summed
from ds2ray.training.task import BaseTask


class Validator:
    """Validates models on a task's validation data. Use it as a context: it ends its threads."""

    def __init__(self, task: BaseTask, device: torch.device) -> None:
        self.task, self.device = task, device
        dataset = SpeechDataset(task.valid_utterances, task.vocabulary, task.audio)
        self.loader = Loader(dataset, task.train.loader_threads)
        self.log_mel = LogMel(task.audio).to(device)
        durations_s = dataset.durations_s()
        # the same batches on any number of ranks, dealt out in turn
        if task.train.batch_s > 0:
            self.batches = batches_by_seconds(durations_s, task.train.batch_s)
        else:
            self.batches = epoch_batches(durations_s, task.train.batch_size, 1, seed=0, epoch=0)

    def __enter__(self) -> "Validator":
        self.loader.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.loader.__exit__(*error)

    @torch.no_grad()
    def __call__(self, model: DeepSpeech2, stopped: Callable[[], bool] = lambda: False) -> tuple[float, float, float]:
        """Mean loss per token and utterance (NaN where none can be decoded), WER and CER, over all ranks.

        Args:
            stopped: asked before each batch; after a yes this rank does no more, and the result means nothing.
        """
        training = model.training
        model.eval()
        rank, world_size = rank_and_world_size()
        loss, utterances, score = 0.0, 0, Score()
        for loaded in prefetched(self.batches[rank::world_size], self._load):
            if stopped():
                break
            if loaded is None:
                continue
            batch = loaded.to(self.device)
            log_probs, lengths = model(*self.log_mel(batch.waveforms, batch.num_samples))
            loss += float(ctc_losses(log_probs, lengths, batch.tokens, batch.num_tokens).sum())
            utterances += len(batch)
            score += score_decoded(greedy(log_probs, lengths), batch.transcripts, self.task.vocabulary)
        model.train(training)
        words, characters = asdict(score.words), asdict(score.characters)
        totals = summed([loss, utterances, *words.values(), *characters.values()], self.device)
        counts = [int(value) for value in totals[2:]]
        total = Score(ErrorCount(*counts[: len(words)]), ErrorCount(*counts[len(words) :]))
        mean_loss = totals[0] / totals[1] if totals[1] else math.nan
        return mean_loss, total.rate(ErrorMetric.wer), total.rate(ErrorMetric.cer)

    def _load(self, indices: Sequence[int]) -> Batch | None:
        return self.loader.decode(indices)[0]
