"""The learner of a base: the model, its optimizer and its average, and one step that changes them."""

import copy
import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ds2ray.batching.batches import Batch
from ds2ray.config import TrainConfig
from ds2ray.model.acoustic import AcousticModel
from ds2ray.sound.features import spec_augment
from ds2ray.training.base.augmenting import Augmenting
from ds2ray.training.base.ranks import data_parallel, rank_and_world_size
from ds2ray.training.optim import build_optimizer, clip_gradients, ctc_losses, set_learning_rate
from ds2ray.training.precision import products_in


class Learner:
    """The learner of a base. One step is `accumulate` for each of its batches, then `update`.

    Args:
        model: trained in place, on `device`.
        silence_rows: rows in which nobody speaks, as a share of a batch's; see `Augmenting`, as for `space`.
    """

    def __init__(
        self,
        model: AcousticModel,
        config: TrainConfig,
        device: torch.device,
        silence_rows: float = 0.0,
        space: int = 0,
    ) -> None:
        self.model, self.wrapped = model, data_parallel(model)
        self.config, self.device = config, device
        self.augmenting = Augmenting(config.augment, model.shape.audio.sample_rate_hz, silence_rows, space)
        self.world_size = rank_and_world_size()[1]
        self.optimizer = build_optimizer(
            model.parameters(), config.optimizer, config.learning_rate, config.weight_decay
        )
        self.num_updates = 0
        self.gradient_norm = math.nan  # of the last step, before it is clipped
        self.average = copy.deepcopy(model).eval().requires_grad_(False) if config.ema_decay else None

    @property
    def result(self) -> AcousticModel:
        """The model that is validated and published: the average where there is one, else the trained one."""
        return self.model if self.average is None else self.average

    def accumulate(self, batch: Batch, num_utterances: int, *, weight: float = 1.0, last: bool = True) -> Tensor:
        """Add a batch's gradient to that of its step; returns the sum of its utterances' losses, float32 [].

        Args:
            num_utterances: of the whole step, over all ranks and batches; the gradient is that of their mean loss.
            weight: 0 for a stand-in batch, on a rank that has no batch of its own.
            last: whether the step's gradient is complete with this batch.
        """
        wait = (
            nullcontext() if last or not isinstance(self.wrapped, DistributedDataParallel) else self.wrapped.no_sync()
        )
        rows = self.augmenting(batch.to(self.device))
        features, lengths = self.model.features(rows.waveforms, rows.num_samples)
        features = spec_augment(features, lengths, self.config.augment)
        with wait:
            with products_in(self.config.precision, self.device):
                log_probs, lengths = self.wrapped(features, lengths)
            losses = ctc_losses(log_probs, lengths, rows.tokens, rows.num_tokens) * weight
            loss = (losses * rows.utterances.clamp(min=1)).sum()
            # DDP averages over ranks; scaled so, the gradient is that of the mean over all ranks' utterances
            (loss * (self.world_size / num_utterances)).backward()
        return (losses.detach() * rows.utterances).sum()

    def update(self, learning_rate: float) -> bool:
        """Change the weights by the accumulated gradient; False, and nothing changed, where that is not finite."""
        set_learning_rate(self.optimizer, learning_rate)
        self.gradient_norm = float(clip_gradients(self.model.parameters(), self.config.max_grad_norm))
        finite = math.isfinite(self.gradient_norm)
        if finite:
            self.optimizer.step()
            self.num_updates += 1
            if self.average is not None:
                self._update_average(self.average)
        self.optimizer.zero_grad(set_to_none=True)
        return finite

    @torch.no_grad()
    def _update_average(self, average: AcousticModel) -> None:
        """Exponential moving average of weights and statistics, over few steps at first.

        The decay rises as (1 + n) / (10 + n) with the number n of updates, as in TensorFlow's
        ExponentialMovingAverage, so that the random weights of the start do not linger.
        """
        decay = min(self.config.ema_decay, (1 + self.num_updates) / (10 + self.num_updates))
        current = self.model.state_dict()
        averaged = average.state_dict()
        torch._foreach_lerp_(list(averaged.values()), [current[name] for name in averaged], 1 - decay)

    def state(self) -> dict[str, Any]:
        """The state from which a training goes on, on any number of ranks; its tensors are not copies."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "num_updates": self.num_updates,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.num_updates = state["num_updates"]
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def load_result(self, state: dict[str, Any]) -> None:
        """Set the weights of `result` to those of the result in `state`."""
        self.result.load_state_dict(state["model" if self.average is None else "average"])
