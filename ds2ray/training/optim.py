"""Optimizers, losses, and learning rates as pure functions of the step, so that checkpoints hold no schedule."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ds2ray.config import OptimizerType, Schedule
from ds2ray.padding import frame_mask
from ds2ray.training.uncompiled import SGD, Adam, AdamW

Criterion = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(log-probabilities [B, T, V], lengths [B], tokens [B, L], number of tokens [B]) → losses of the rows [B]."""

START_DIVISOR = 25.0
"""The warm-up starts at the highest rate divided by this; from Smith and Topin's one-cycle policy (2018)."""

END_DIVISOR = 1e4
"""The one-cycle policy ends at its start divided by this."""


TRI_STAGE_START, TRI_STAGE_END = 0.01, 0.05
"""Shares of the highest rate at which the tri-stage schedule starts and ends; from SpecAugment (Park et al., 2019)
by way of fairseq's defaults."""


def learning_rate_at(
    step: int, total_steps: int, peak: float, schedule: Schedule, warmup_fraction: float, hold_fraction: float = 0.0
) -> float:
    """The learning rate of a step, counted from 0.

    one_cycle: cosine up from peak/25 to peak, then cosine down to nearly 0.
    warmup_cosine: straight up from 0, then cosine down to 0.
    tri_stage: straight up from peak/100, peak for `hold_fraction` of all steps, then exponentially down to peak/20.
    """
    if schedule is Schedule.constant:
        return peak
    warmup_steps = max(1.0, warmup_fraction * total_steps)
    if schedule is Schedule.tri_stage:
        return peak * _tri_stage(step, warmup_steps, hold_fraction * total_steps, total_steps - 1)
    start, end = (
        (peak / START_DIVISOR, peak / START_DIVISOR / END_DIVISOR) if schedule is Schedule.one_cycle else (0.0, 0.0)
    )
    if step < warmup_steps:
        share = step / warmup_steps if schedule is Schedule.one_cycle else (step + 1) / warmup_steps
        rise = (1 - math.cos(math.pi * share)) / 2 if schedule is Schedule.one_cycle else min(1.0, share)
        return start + (peak - start) * rise
    share = min(1.0, (step - warmup_steps) / max(1.0, total_steps - 1 - warmup_steps))
    return end + (peak - end) * (1 + math.cos(math.pi * share)) / 2


def _tri_stage(step: int, warmup_steps: float, hold_steps: float, last_step: int) -> float:
    if step < warmup_steps:
        return TRI_STAGE_START + (1 - TRI_STAGE_START) * step / warmup_steps
    into_decay = step - warmup_steps - hold_steps
    share = min(1.0, max(0.0, into_decay) / max(1.0, last_step - warmup_steps - hold_steps))
    return float(TRI_STAGE_END**share)


def build_optimizer(
    parameters: Iterable[nn.Parameter], kind: OptimizerType, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimizer over `parameters`; the schedule sets its rate before every step."""
    trainable = list(parameters)
    if kind is OptimizerType.sgd:
        return SGD(trainable, lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    optimizer_class = AdamW if kind is OptimizerType.adamw else Adam
    return optimizer_class(trainable, lr=learning_rate, weight_decay=weight_decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scale gradients down to a total norm of `max_norm` at most; returns the norm before, not finite if any is not."""
    return torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], max_norm)


def ctc_losses(log_probs: Tensor, lengths: Tensor, tokens: Tensor, num_tokens: Tensor) -> Tensor:
    """CTC loss of each row, divided by its number of tokens: float32 [B].

    The loss of a row whose audio is too short for its tokens is 0. The loss of a row without tokens,
    in which nobody speaks, is divided by its frames: weighed more, silence delays the learning of speech.

    Args:
        log_probs: [B, T, V].
        lengths: int64 [B], frames.
        tokens: int64 [B, L].
        num_tokens: int64 [B].
    """
    losses = nn.functional.ctc_loss(
        log_probs.transpose(0, 1), tokens, lengths, num_tokens, blank=0, reduction="none", zero_infinity=True
    )
    return losses / torch.where(num_tokens > 0, num_tokens, lengths)


def kl_divergences(log_probs: Tensor, of_base: Tensor, lengths: Tensor) -> Tensor:
    """KL(base ‖ adapted) of each row, mean over its frames, in nats: float32 [B].

    As a penalty it keeps an adapted model close to its base (Yu et al., 2013).

    Args:
        log_probs, of_base: [B, T, V].
        lengths: int64 [B], frames.
    """
    by_frame = nn.functional.kl_div(log_probs, of_base, reduction="none", log_target=True).sum(2)
    return torch.where(frame_mask(lengths, by_frame.shape[1]), by_frame, 0.0).sum(1) / lengths
