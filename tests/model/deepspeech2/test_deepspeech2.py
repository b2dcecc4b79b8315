"""Padding, adapters, freezing, counts and lengths of the model."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ds2ray.config import LAST_LAYER, AdapterConfig, ModelConfig, RnnType, model_from_plain, model_to_plain
from ds2ray.errors import ConfigError
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.deepspeech2 import DeepSpeech2

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
from ds2ray.model.deepspeech2.layers import ConvFrontEnd

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


class TestTimeStride:
    def test_four_feature_frames_are_one_encoding_frame(self) -> None:
        features, lengths = features_of([1, 4, 5, 40])
        log_probs, encoded = small_model(time_stride=4)(features, lengths)
        assert encoded.tolist() == [1, 1, 2, 10]
        assert log_probs.shape[:2] == (4, 10)

    def test_it_is_stored_where_it_is_not_that_of_older_bases(self) -> None:
        quarter = ModelConfig(time_stride=4)
        assert model_to_plain(quarter)["time_stride"] == 4
        assert model_from_plain(model_to_plain(quarter)) == quarter
        assert "time_stride" not in model_to_plain(ModelConfig())

    def test_other_strides_are_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"model\.time_stride=3.*2 or 4"):
            ModelConfig(time_stride=3)
