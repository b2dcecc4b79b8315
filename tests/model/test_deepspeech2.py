"""Padding, adapters, freezing, counts and lengths of the model."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ds2ray.config import LAST_LAYER, AdapterConfig, ModelConfig, RnnType
from ds2ray.errors import ConfigError
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.layers import MaskedBatchNorm

NUM_MELS = 16


def small_model(seed: int = 0, **changes: object) -> DeepSpeech2:
    torch.manual_seed(seed)
    shape = {"num_rnn_layers": 2, "rnn_hidden_dim": 12, "conv_channels": 4, "dropout": 0.2, **changes}
    shape.setdefault("adapter_after_layer", LAST_LAYER)
    return DeepSpeech2(NUM_MELS, 7, **shape)  # type: ignore[arg-type]


def features_of(lengths: list[int], seed: int = 1, num_frames: int | None = None) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, NUM_MELS, generator=generator) for length in lengths]
    padded = torch.zeros(len(rows), num_frames or max(lengths), NUM_MELS)
    for row, values in enumerate(rows):
        padded[row, : len(values)] = values
    return padded, torch.tensor(lengths)


def randomise(module: nn.Module, seed: int = 3) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3


@pytest.mark.parametrize("rnn_type", list(RnnType))
@pytest.mark.parametrize("bidirectional", [True, False])
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), extra=st.integers(0, 30))
def test_padding_changes_no_row(rnn_type: RnnType, bidirectional: bool, lengths: list[int], extra: int) -> None:
    model = small_model(rnn_type=rnn_type, bidirectional=bidirectional).eval()
    batch, batch_lengths = model(*features_of(lengths, num_frames=max(lengths) + extra))
    padded, _ = features_of(lengths)
    for row, length in enumerate(lengths):
        alone, alone_lengths = model(padded[row : row + 1, :length], torch.tensor([length]))
        assert batch_lengths[row] == alone_lengths[0] == (length + 1) // 2
        torch.testing.assert_close(batch[row, : alone_lengths[0]], alone[0], atol=1e-5, rtol=1e-4)


def test_padding_changes_no_gradient_and_no_statistic() -> None:
    lengths = [31, 9, 20]
    results = []
    for num_frames in (31, 57):
        model = small_model(dropout=0.0).train()
        log_probs, out_lengths = model(*features_of(lengths, num_frames=num_frames))
        sum(log_probs[row, :length, 1].sum() for row, length in enumerate(out_lengths)).backward()
        results.append(({n: p.grad for n, p in model.named_parameters()}, dict(model.named_buffers())))
    for name, gradient in results[0][0].items():
        torch.testing.assert_close(gradient, results[1][0][name], atol=2e-4, rtol=1e-3)
    for name, buffer in results[0][1].items():
        torch.testing.assert_close(buffer, results[1][1][name], atol=1e-6, rtol=1e-4)


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


@pytest.mark.parametrize("after_layer", [-1, 0, 1, 2])
def test_a_fresh_and_a_disabled_adapter_are_the_base_bit_for_bit(after_layer: int) -> None:
    inputs = features_of([25, 14])
    model = small_model().eval()
    base, _ = model(*inputs)
    model.add_adapter(AdapterConfig(hidden_dims=[8, 4], after_layer=after_layer))
    model.eval()
    assert torch.equal(model(*inputs)[0], base)
    assert model.adapter is not None
    randomise(model.adapter)
    assert not torch.equal(model(*inputs)[0], base)
    model.adapter_enabled = False
    assert torch.equal(model(*inputs)[0], base)


@pytest.mark.parametrize("after_layer", [-1, 0, 1])
def test_training_an_adapter_leaves_every_base_weight_and_buffer(after_layer: int) -> None:
    model = small_model()
    model.add_adapter(AdapterConfig(hidden_dims=[8], after_layer=after_layer))
    model.freeze_base_model()
    model.train()
    before = {name: tensor.clone() for name, tensor in model.base_state().items()}
    assert model.adapter is not None
    adapter_before = [parameter.clone() for parameter in model.adapter.parameters()]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01, weight_decay=0.1)
    for _ in range(3):
        log_probs, _ = model(*features_of([25, 14]))
        optimizer.zero_grad()
        log_probs[:, :, 1].sum().backward()
        optimizer.step()
    for name, tensor in model.base_state().items():
        assert torch.equal(tensor, before[name]), name
    assert any(not torch.equal(a, b) for a, b in zip(adapter_before, model.adapter.parameters(), strict=True))


def test_trunk_and_head_are_the_whole() -> None:
    model = small_model().eval()
    features, lengths = features_of([25, 14])
    whole, _ = model(features, lengths)
    for after_layer in (0, 1, 2, -1):
        encodings, out_lengths = model.trunk(features, lengths, after_layer)
        assert encodings.shape[2] == model.encoding_dim(after_layer)
        torch.testing.assert_close(model.head(encodings, out_lengths, after_layer), whole)


def test_each_row_passes_its_own_adapter() -> None:
    model = small_model().eval()
    features, lengths = features_of([25, 14, 19, 8])
    adapters = []
    for seed, after_layer in ((1, -1), (2, 1)):
        adapter = MLPAdapter(model.encoding_dim(after_layer), [6]).eval()
        randomise(adapter, seed)
        adapters.append((adapter, after_layer, torch.tensor([seed - 1, seed + 1])))
    mixed, _ = model.forward_rows(features, lengths, adapters[:1] + adapters[1:])
    for adapter, after_layer, rows in adapters:
        single = small_model().eval()
        single.add_adapter(AdapterConfig(hidden_dims=[6], after_layer=after_layer))
        assert single.adapter is not None
        single.adapter.load_state_dict(adapter.state_dict())
        alone, out_lengths = single.eval()(features, lengths)
        for row in rows.tolist():
            length = out_lengths[row]
            torch.testing.assert_close(mixed[row, :length], alone[row, :length], atol=1e-5, rtol=1e-4)


def test_count_parameters() -> None:
    model = small_model(use_adapter=True, adapter_hidden_dims=[8, 4])
    dim = 24
    adapter = 2 * dim + (dim * 8 + 8) + (8 * 4 + 4) + (4 * dim + dim)
    base = sum(p.numel() for p in model.parameters()) - adapter
    assert model.count_parameters() == {"base": base, "adapter": adapter, "total": base + adapter}
    model.freeze_base_model()
    assert model.count_parameters(trainable_only=True) == {"base": 0, "adapter": adapter, "total": adapter}
    model.unfreeze_base_model()
    assert model.count_parameters(trainable_only=True)["base"] == base


def test_five_layers_have_about_25_million_parameters() -> None:
    model = DeepSpeech2(input_dim=80, num_classes=30, num_rnn_layers=5, device="meta")
    adapter = sum(p.numel() for p in MLPAdapter(model.encoding_dim(), [256]).parameters())
    total = model.count_parameters()["total"]
    assert 20e6 < total < 30e6
    assert adapter / total < 0.04


def test_defaults_are_those_of_the_settings() -> None:
    model = DeepSpeech2(input_dim=80, num_classes=30, use_adapter=True, device="meta")
    configured = DeepSpeech2.from_config(ModelConfig(), 80, 30).to("meta")
    configured.add_adapter(AdapterConfig())
    assert model.adapter_layer == configured.adapter_layer == 0
    shapes = [{name: tensor.shape for name, tensor in m.state_dict().items()} for m in (model, configured)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("after_layer", [-2, 3])
def test_a_placement_that_the_base_lacks_is_refused(after_layer: int) -> None:
    with pytest.raises(ConfigError, match="2 recurrent layers"):
        small_model().layer_index(after_layer)


@pytest.mark.process
def test_any_number_of_mel_channels_trains_without_harm_to_memory() -> None:
    # a write outside of its memory ends a process sooner or later, so it is one of its own
    program = """
import torch
from ds2ray.model.layers import ConvFrontEnd

for num_mels in (1, 16, 19, 20, 21, 22, 23, 40):
    torch.manual_seed(num_mels)
    front_end = ConvFrontEnd(num_mels, 4)
    for frames in range(41, 61):
        x, lengths = front_end(torch.randn(2, frames, num_mels), torch.tensor([frames, 30]))
        x.square().sum().backward()
        assert all(weight.grad.isfinite().all() for weight in front_end.parameters())
"""
    environment = {**os.environ, "MALLOC_CHECK_": "3", "OMP_NUM_THREADS": "1"}
    finished = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
