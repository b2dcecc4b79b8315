"""The Conformer: torchaudio's, but for padding; and it learns."""

import random
from dataclasses import replace

import pytest
import torch
from architectures import AUDIO, MEMBERS, TOY_CONFORMER, features_of, small_model
from torchaudio.models.conformer import ConformerLayer
from toy_speech import VOCABULARY, sentence, speak

from ds2ray.config import (
    Architecture,
    ConformerConfig,
    ModelConfig,
    RnnType,
    model_from_plain,
    model_to_plain,
)
from ds2ray.decoding.greedy import Greedy
from ds2ray.errors import ConfigError
from ds2ray.model.building import build_model
from ds2ray.model.conformer.layers import ConformerStage
from ds2ray.training.optim import ctc_losses


def test_a_stage_does_what_torchaudios_layer_does_with_the_same_weights() -> None:
    torch.manual_seed(0)
    theirs = ConformerLayer(12, 20, 2, 5).eval()
    torch.manual_seed(0)
    ours = ConformerStage(ConformerLayer(12, 20, 2, 5)).eval()
    x = torch.randn(3, 17, 12)
    expected = theirs(x.transpose(0, 1), None).transpose(0, 1)
    torch.testing.assert_close(ours(x, torch.tensor([17, 17, 17])), expected, atol=1e-5, rtol=1e-5)


def test_its_statistics_in_training_are_torchaudios_without_padding() -> None:
    torch.manual_seed(0)
    theirs = ConformerLayer(12, 20, 2, 5).train()
    torch.manual_seed(0)
    ours = ConformerStage(ConformerLayer(12, 20, 2, 5)).train()
    x = torch.randn(3, 17, 12)
    theirs(x.transpose(0, 1), None)
    ours(torch.cat([x, torch.full((3, 6, 12), 9.0)], dim=1), torch.tensor([17, 17, 17]))
    for name in ("running_mean", "running_var"):
        own, expected = (dict(module.named_buffers()) for module in (ours.layer, theirs))
        key = f"conv_module.sequential.3.{name}"
        torch.testing.assert_close(own[key], expected[key], atol=1e-5, rtol=1e-4)


def test_it_has_four_feature_frames_in_one() -> None:
    model = small_model("conformer").eval()
    _, lengths = model(*features_of([1, 4, 5, 33]))
    assert lengths.tolist() == [1, 1, 2, 9]


def test_it_learns_toy_speech() -> None:
    draws, losses = random.Random(0), list[float]()
    texts = [sentence(draws) for _ in range(24)]
    waveforms = [torch.from_numpy(speak(text, seed=number)) for number, text in enumerate(texts)]
    num_samples = torch.tensor([len(waveform) for waveform in waveforms])
    tokens = [torch.tensor(VOCABULARY.encode(text)) for text in texts]
    num_tokens = torch.tensor([len(ids) for ids in tokens])
    targets = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
    torch.manual_seed(0)
    model = build_model(TOY_CONFORMER, AUDIO, len(VOCABULARY)).train()
    features, lengths = model.features(torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), num_samples)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(80):
        log_probs, out_lengths = model(features, lengths)
        loss = ctc_losses(log_probs, out_lengths, targets, num_tokens).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]
    with torch.no_grad():
        decoded = Greedy().decode(*model.eval()(features, lengths))
    assert [VOCABULARY.decode(row.token_ids) for row in decoded] == texts


class TestSettings:
    def test_only_its_own_are_stored(self) -> None:
        plain = model_to_plain(MEMBERS["conformer"])
        assert set(plain) == {"architecture", "conv_channels", "dropout", "conformer"}
        assert model_from_plain(plain) == MEMBERS["conformer"]

    def test_those_of_deepspeech2_are_as_before_but_for_the_name(self) -> None:
        plain = model_to_plain(ModelConfig())
        assert plain.pop("architecture") == "deepspeech2"
        assert set(plain) == {
            *("conv_channels", "rnn_type", "num_rnn_layers", "rnn_hidden_dim", "bidirectional", "dropout"),
        }
        assert model_from_plain(plain) == ModelConfig()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"rnn_hidden_dim": 96}, r"model\.rnn_hidden_dim=96.*model\.architecture=conformer has no such setting"),
            ({"rnn_type": RnnType.lstm}, r"model\.rnn_type=.*has no such setting"),
            ({"architecture": Architecture.deepspeech2}, r"model\.conformer\.num_layers=2.*=deepspeech2 has no such"),
        ],
    )
    def test_those_of_another_architecture_are_refused(self, changes: dict[str, object], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            replace(TOY_CONFORMER, **changes)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"width": 30, "num_heads": 4}, "num_heads=4"),
            ({"kernel_size": 4}, "odd"),
            ({"num_layers": 0}, "at least 1"),
        ],
    )
    def test_impossible_values_are_refused(self, changes: dict[str, int], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            ConformerConfig(**changes)
