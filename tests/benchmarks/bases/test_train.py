import json

import pytest
import torch

from benchmarks.bases import train
from benchmarks.bases.public_layout import PublicDeepSpeech2, PublicTraining, padding_mask
from benchmarks.synthetic import VOCABULARY
from ds2ray.config import AudioConfig, ModelConfig, TrainConfig
from ds2ray.model.deepspeech2 import DeepSpeech2

SHAPE = ModelConfig(conv_channels=4, num_rnn_layers=2, rnn_hidden_dim=12)


def test_both_layouts_train_on_the_same_batch(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--models", "tiny", "--batch-size", "3", "--shortest", "1", "--longest", "2", "--steps", "1"]
    threads = torch.get_num_threads()
    train.main([*sizes, "--threads", "1"])
    torch.set_num_threads(threads)
    line = json.loads(capsys.readouterr().out)
    assert line["speech_s_per_batch"] == pytest.approx(1 + 1.5 + 2)
    (result,) = line["results"]
    assert line["speedup"] == result["speedup"]
    assert result["speedup"] == pytest.approx(result["step_s_public"] / result["step_s"], rel=2e-3)
    assert result["speech_per_time"] == pytest.approx(4.5 / result["step_s"], rel=2e-3)


def test_the_public_layout_has_the_layers_and_widths_of_ours() -> None:
    ours = DeepSpeech2.from_config(SHAPE, 16, 9)
    public = PublicDeepSpeech2(SHAPE, 16, 9)
    weights = [sorted(p.numel() for p in model.parameters() if p.dim() > 1) for model in (ours, public)]
    assert weights[0] == weights[1]
    features, lengths = torch.randn(2, 31, 16), torch.tensor([31, 14])
    log_probs, out_lengths = public(features, lengths)
    assert log_probs.shape == (2, 16, 9)
    assert out_lengths.tolist() == [16, 7]
    torch.testing.assert_close(log_probs.exp().sum(2), torch.ones(2, 16))


def test_the_public_layout_masks_what_lies_after_a_row() -> None:
    mask = padding_mask(torch.zeros(2, 3, 4, 5), torch.tensor([5, 2]))
    assert not mask[0].any()
    assert mask[1, 1, 2].tolist() == [False, False, True, True, True]


def test_the_public_layout_learns() -> None:
    torch.manual_seed(0)
    config = TrainConfig(learning_rate=3e-3)
    public = PublicTraining(SHAPE, AudioConfig(num_mels=16), len(VOCABULARY), config, torch.device("cpu"))
    batch = train.make_batch(2, 1.0, 1.2)
    losses = [public.step(batch) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
