"""The contracts of acoustic models, over all architectures and all places for adapters."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from architectures import ADAPTERS, AUDIO, MEMBERS, NUM_CLASSES, features_of, randomise, small_model
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.config import LAST_LAYER
from ds2ray.errors import ConfigError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.rows import RowAdapter
from ds2ray.model.masking import MaskedBatchNorm
from ds2ray.training.precision import bfloat16_trunk

EVERY_MEMBER = pytest.mark.parametrize("member", MEMBERS)
EVERY_KIND = pytest.mark.parametrize("kind", ADAPTERS)


def places(model: AcousticModel) -> Iterator[int]:
    """Every `after_layer` that the model has."""
    yield from range(model.shape.num_stages + 1)
    yield LAST_LAYER


def add_adapter(model: AcousticModel, after_layer: int, seed: int | None = None, kind: str = "mlp") -> None:
    model.add_adapter(replace(ADAPTERS[kind], after_layer=after_layer))
    assert model.adapter is not None
    if seed is not None:
        randomise(model.adapter, seed)


@EVERY_KIND
@EVERY_MEMBER
@settings(max_examples=10)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), extra=st.integers(0, 30))
def test_padding_changes_no_row(member: str, kind: str, lengths: list[int], extra: int) -> None:
    model = small_model(member)
    add_adapter(model, after_layer=1, seed=2, kind=kind)
    model.eval()
    batch, batch_lengths = model(*features_of(lengths, num_frames=max(lengths) + extra))
    padded, _ = features_of(lengths)
    for row, length in enumerate(lengths):
        alone, alone_lengths = model(padded[row : row + 1, :length], torch.tensor([length]))
        assert batch_lengths[row] == alone_lengths[0] == -(-length // model.shape.time_reduction)
        torch.testing.assert_close(batch[row, : alone_lengths[0]], alone[0], atol=1e-5, rtol=1e-4)


@EVERY_MEMBER
def test_padding_changes_no_gradient_and_no_statistic(member: str) -> None:
    lengths = [31, 9, 20]
    results = []
    for num_frames in (31, 57):
        model = small_model(member)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if isinstance(module, torch.nn.MultiheadAttention):
                module.dropout = 0.0
        model.train()
        log_probs, out_lengths = model(*features_of(lengths, num_frames=num_frames))
        sum(log_probs[row, :length, 1].sum() for row, length in enumerate(out_lengths)).backward()
        results.append(({n: p.grad for n, p in model.named_parameters()}, dict(model.named_buffers())))
    assert all(gradient is not None for gradient in results[0][0].values())
    for name, gradient in results[0][0].items():
        torch.testing.assert_close(gradient, results[1][0][name], atol=2e-4, rtol=1e-3)
    for name, buffer in results[0][1].items():
        torch.testing.assert_close(buffer, results[1][1][name], atol=1e-6, rtol=1e-4)


@EVERY_MEMBER
def test_what_lies_in_padding_changes_no_row_of_the_head(member: str) -> None:
    """An adapter writes there, too."""
    model = small_model(member).eval()
    features, lengths = features_of([25, 14, 3])
    for after_layer in places(model):
        encodings, out_lengths = model.trunk(features, lengths, after_layer)
        dirty = encodings.clone()
        for row, length in enumerate(out_lengths):
            dirty[row, length:] = 7.0
        clean_head, dirty_head = (model.head(x, out_lengths, after_layer) for x in (encodings, dirty))
        for row, length in enumerate(out_lengths):
            torch.testing.assert_close(dirty_head[row, :length], clean_head[row, :length], atol=1e-5, rtol=1e-4)


@EVERY_KIND
@EVERY_MEMBER
def test_a_fresh_and_a_disabled_adapter_are_the_base_bit_for_bit(member: str, kind: str) -> None:
    inputs = features_of([25, 14])
    model = small_model(member).eval()
    base, _ = model(*inputs)
    for after_layer in places(model):
        add_adapter(model, after_layer, kind=kind)
        model.adapter_enabled = True
        model.eval()
        assert torch.equal(model(*inputs)[0], base)
        assert model.adapter is not None
        randomise(model.adapter)
        assert not torch.equal(model(*inputs)[0], base)
        model.adapter_enabled = False
        assert torch.equal(model(*inputs)[0], base)


@EVERY_KIND
@EVERY_MEMBER
def test_training_an_adapter_leaves_every_base_weight_and_buffer(member: str, kind: str) -> None:
    model = small_model(member)
    for after_layer in places(model):
        add_adapter(model, after_layer, kind=kind)
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


@EVERY_MEMBER
def test_trunk_and_head_are_the_whole(member: str) -> None:
    model = small_model(member).eval()
    features, lengths = features_of([25, 14])
    whole, _ = model(features, lengths)
    assert whole.shape[2] == NUM_CLASSES
    for after_layer in places(model):
        encodings, out_lengths = model.trunk(features, lengths, after_layer)
        assert encodings.shape[2] == model.encoding_dim(after_layer)
        assert encodings[1, out_lengths[1] :].count_nonzero() == 0
        torch.testing.assert_close(model.head(encodings, out_lengths, after_layer), whole)
        assert model.is_last(after_layer) == (model.layer_index(after_layer) == model.shape.num_stages)


@EVERY_MEMBER
def test_each_row_passes_its_own_adapter(member: str) -> None:
    features, lengths = features_of([25, 14, 19, 8])
    with_adapters = []
    for seed, after_layer, kind in ((1, LAST_LAYER, "mlp"), (2, 1, "lhuc")):
        single = small_model(member)
        add_adapter(single, after_layer, seed, kind)
        with_adapters.append((single.eval(), after_layer, torch.tensor([seed - 1, seed + 1])))
    adapters = [RowAdapter(m.adapter, place, rows) for m, place, rows in with_adapters if m.adapter is not None]
    mixed, _ = small_model(member).eval().forward_rows(features, lengths, adapters)
    for single, _, rows in with_adapters:
        alone, out_lengths = single(features, lengths)
        for row in rows.tolist():
            length = out_lengths[row]
            torch.testing.assert_close(mixed[row, :length], alone[row, :length], atol=1e-5, rtol=1e-4)


@EVERY_MEMBER
def test_the_shape_says_what_the_model_does(member: str) -> None:
    model = small_model(member).eval()
    shape = model.shape
    assert len(model.stages) == shape.num_stages
    assert shape.name == MEMBERS[member].architecture.value
    for num_samples in (1, 159, 160, 320, 479, 480, 481, 16001):
        features, lengths = model.features(torch.rand(1, num_samples), torch.tensor([num_samples]))
        for place in range(shape.num_stages + 1):
            encodings, out_lengths = model.trunk(features, lengths, place)
            assert encodings.shape[2] == shape.width_at(place)
            assert int(out_lengths[0]) == shape.encoding_frames(num_samples)
    assert shape.frame_s == pytest.approx(shape.time_reduction * AUDIO.hop_s)


@EVERY_MEMBER
def test_memory_of_a_batch_grows_with_it_and_with_the_trunk(member: str) -> None:
    shape = small_model(member).shape
    sizes = [shape.batch_bytes(3, 10.0, place) for place in range(shape.num_stages + 1)]
    assert sizes == sorted(sizes)
    assert shape.batch_bytes(6, 10.0, LAST_LAYER) == pytest.approx(2 * sizes[-1])
    assert shape.batch_bytes(3, 20.0, LAST_LAYER) >= 2 * sizes[-1] * (1 - 1e-9)
    features = 10.0 / AUDIO.hop_s * AUDIO.num_mels * 4
    assert sizes[0] > 3 * features


@EVERY_MEMBER
@pytest.mark.parametrize("after_layer", [-2, 3])
def test_a_place_that_the_base_lacks_is_refused(member: str, after_layer: int) -> None:
    model = small_model(member)
    with pytest.raises(ConfigError, match=f"2 {model.shape.stages_are}; use 0 to 2"):
        model.layer_index(after_layer)


@EVERY_MEMBER
def test_features_are_no_weights_and_go_where_the_waveform_goes(member: str) -> None:
    model = small_model(member)
    before = set(model.state_dict())
    features, lengths = model.features(torch.rand(2, 3200), torch.tensor([3200, 1600]))
    assert features.shape == (2, 21, AUDIO.num_mels)
    assert lengths.tolist() == [21, 11]
    assert set(model.state_dict()) == before
    again, _ = copy.deepcopy(model).features(torch.rand(2, 3200), torch.tensor([3200, 1600]))
    assert again.shape == features.shape


@EVERY_MEMBER
def test_a_frozen_trunk_computes_in_bfloat16(member: str) -> None:
    model = small_model(member).eval()
    half = bfloat16_trunk(model)
    assert {p.dtype for p in half.parameters()} == {torch.float32, torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    features, lengths = features_of([25, 14])
    with torch.no_grad():
        encodings, _ = half.trunk(features, lengths, LAST_LAYER)
        expected, _ = model.trunk(features, lengths, LAST_LAYER)
    assert encodings.dtype == torch.float32
    torch.testing.assert_close(encodings, expected, atol=0.1, rtol=0.1)


@EVERY_MEMBER
def test_statistics_are_of_frames_alone(member: str) -> None:
    """No norm that mixes frames of a batch is torch's own, which would count padding."""
    kinds = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.GroupNorm, torch.nn.modules.instancenorm._InstanceNorm)
    modules = list(small_model(member).modules())
    assert not any(isinstance(module, kinds) for module in modules)
    assert any(isinstance(module, MaskedBatchNorm) for module in modules)
