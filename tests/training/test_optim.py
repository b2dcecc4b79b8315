"""Learning rates by step, and the losses by row."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from ds2ray.config import Schedule
from ds2ray.training.optim import ctc_losses, kl_divergences, learning_rate_at


def test_one_cycle_rises_and_falls() -> None:
    rates = [learning_rate_at(step, 100, 1.0, Schedule.one_cycle, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[10] == pytest.approx(1.0)
    assert max(rates) == pytest.approx(1.0)
    assert rates[99] == pytest.approx(1 / 25 / 1e4)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_warmup_cosine_and_constant() -> None:
    rates = [learning_rate_at(step, 50, 2.0, Schedule.warmup_cosine, 0.2) for step in range(50)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == pytest.approx(2.0)
    assert rates[49] == pytest.approx(0.0, abs=1e-9)
    assert {learning_rate_at(step, 50, 2.0, Schedule.constant, 0.2) for step in range(50)} == {2.0}


def test_tri_stage_rises_holds_and_decays() -> None:
    rates = [learning_rate_at(step, 101, 2.0, Schedule.tri_stage, 0.1, 0.4) for step in range(101)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[5] == pytest.approx(0.02 + 1.98 * 5 / 10.1)
    assert rates[11:51] == [2.0] * 40
    assert rates[51] < 2.0
    assert rates[100] == pytest.approx(0.1)
    ratios = [after / before for before, after in pairwise(rates[51:])]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    assert learning_rate_at(0, 1, 2.0, Schedule.tri_stage, 0.0, 0.0) == pytest.approx(0.02)


def test_losses_by_row_are_torchs_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(3, 12, 5, generator=generator).log_softmax(2)
    lengths, num_tokens = torch.tensor([12, 9, 7]), torch.tensor([4, 2, 3])
    tokens = torch.randint(1, 5, (3, 4), generator=generator)
    losses = ctc_losses(log_probs, lengths, tokens, num_tokens)
    expected = nn.CTCLoss()(log_probs.transpose(0, 1), tokens, lengths, num_tokens)
    torch.testing.assert_close(losses.mean(), expected)


def test_a_row_too_short_for_its_tokens_counts_zero() -> None:
    log_probs = torch.zeros(1, 2, 3).log_softmax(2).requires_grad_()
    loss = ctc_losses(log_probs, torch.tensor([2]), torch.tensor([[1, 1, 2]]), torch.tensor([3]))
    assert loss.item() == 0.0
    loss.sum().backward()
    assert log_probs.grad is not None
    assert log_probs.grad.isfinite().all()


def test_the_divergence_is_that_of_the_adapted_model_from_the_base() -> None:
    of_base = torch.tensor([[[0.5, 0.5], [0.75, 0.25]], [[0.5, 0.5], [1.0, 0.0]]]).log()
    adapted = torch.tensor([[[0.25, 0.75], [0.75, 0.25]], [[0.25, 0.75], [0.5, 0.5]]]).log()
    of_base[1, 1] = float("nan")  # padding
    # 1/2 ln(0.5 / 0.25) + 1/2 ln(0.5 / 0.75); the other way round it were 1/4 ln(1/2) + 3/4 ln(3/2)
    first = 0.5 * math.log(4 / 3)
    found = kl_divergences(adapted, of_base, torch.tensor([2, 1]))
    torch.testing.assert_close(found, torch.tensor([first / 2, first]))
