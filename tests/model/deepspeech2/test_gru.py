import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ds2ray.config import RnnType
from ds2ray.model.deepspeech2 import gru as gru_module
from ds2ray.model.deepspeech2.gru import gru
from ds2ray.model.deepspeech2.layers import RecurrentLayer
from ds2ray.padding import frame_mask


def gradients(rnn: nn.GRU, x: Tensor, outputs: Tensor, weights: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad((outputs * weights).sum(), [x, *rnn.parameters()]))


@given(rows=st.integers(1, 4), frames=st.integers(1, 9), width=st.integers(1, 6), seed=st.integers(0, 1000))
def test_outputs_and_gradients_are_those_of_torch(rows: int, frames: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    rnn = nn.GRU(3, width, batch_first=True).double()
    x = torch.randn(rows, frames, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(rows, frames, width, dtype=torch.float64)
    expected, outputs = rnn(x)[0], gru(rnn, x)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(gradients(rnn, x, outputs, weights), gradients(rnn, x, expected, weights))


def test_a_step_of_known_numbers() -> None:
    rnn = nn.GRU(1, 1, batch_first=True)
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.fill_(0.5)
    # r = z = sigmoid(0.5·1 + 0.5 + 0.5) and n = tanh(1 + r·0.5): h = (1 − z) n
    gate = torch.tensor(1.5).sigmoid()
    expected = (1 - gate) * torch.tanh(1 + gate * 0.5)
    assert gru(rnn, torch.ones(1, 1, 1)).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_layer_gives_the_same_in_training_and_recognition(bidirectional: bool) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(6, 5, RnnType.gru, bidirectional, norm=False)
    x, lengths = torch.randn(3, 8, 6), torch.tensor([8, 5, 2])
    x = x * frame_mask(lengths, 8).unsqueeze(2)
    training = layer(x, lengths)
    assert training.requires_grad
    with torch.no_grad():
        recognising = layer(x, lengths)
    torch.testing.assert_close(training, recognising)


def test_frozen_weights_get_no_gradient_and_their_input_the_same_as_from_weights_that_train() -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(6, 5, RnnType.gru, bidirectional=True, norm=False)
    x = torch.randn(2, 4, 6, requires_grad=True)
    (expected,) = torch.autograd.grad(layer(x, torch.tensor([4, 3])).square().sum(), [x])
    layer.requires_grad_(False)
    outputs = layer(x, torch.tensor([4, 3]))
    outputs.square().sum().backward()
    assert expected[0].abs().sum() > 0
    torch.testing.assert_close(x.grad, expected)
    assert all(parameter.grad is None for parameter in layer.parameters())


@pytest.mark.parametrize(("worth_threads", "in_the_frame"), [(10**9, 1), (0, 2)])
def test_small_frames_have_one_thread_and_the_process_its_own_number_again(
    monkeypatch: pytest.MonkeyPatch, worth_threads: int, in_the_frame: int
) -> None:
    counted = []
    sigmoid = Tensor.sigmoid_
    monkeypatch.setattr(gru_module, "WORTH_THREADS", worth_threads)

    def counting(x: Tensor) -> Tensor:
        counted.append(torch.get_num_threads())
        return sigmoid(x)

    monkeypatch.setattr(Tensor, "sigmoid_", counting)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        gru(nn.GRU(3, 2, batch_first=True), torch.randn(2, 3, 3)).sum().backward()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert counted == [in_the_frame] * 3
