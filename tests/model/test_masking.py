"""Normalisation that leaves padding out."""

import torch
from torch import nn

from ds2ray.model.masking import MaskedBatchNorm


def test_batch_norm_equals_torch_on_the_valid_frames() -> None:
    lengths = torch.tensor([5, 3, 8])
    mask = (torch.arange(8) < lengths[:, None]).float().unsqueeze(2)
    x = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(0)) * mask
    ours, torchs = MaskedBatchNorm(6).train(), nn.BatchNorm1d(6).train()
    out = ours(x, mask, channel_dim=2)
    expected = torchs(x[mask.squeeze(2).bool()])
    torch.testing.assert_close(out[mask.squeeze(2).bool()], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    assert out[mask.squeeze(2) == 0].abs().max() == 0


def test_batch_norm_ignores_a_batch_that_is_not_finite() -> None:
    norm = MaskedBatchNorm(2).train()
    norm(torch.full((1, 3, 2), float("nan")), torch.ones(1, 3, 1), channel_dim=2)
    assert norm.running_mean.tolist() == [0.0, 0.0]
    assert norm.running_var.tolist() == [1.0, 1.0]
