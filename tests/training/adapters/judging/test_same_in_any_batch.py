"""Rows through the frozen head: each has the same log-probabilities and gradients in any company."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ds2ray.config import AudioConfig, ModelConfig, RnnType
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.building import build_model
from ds2ray.training.adapters.judging.held_out import head_log_probs
from ds2ray.training.adapters.judging.split import Part
from ds2ray.training.adapters.speech import UserSpeech
from ds2ray.training.adapters.stack.stored import SpeechTable
from ds2ray.training.optim import ctc_losses

NUM_USERS, ROWS_EACH = 6, 4
COMPANIES: list[list[tuple[int, list[int]]]] = [
    [(2, [1]), (0, [3])],
    [(0, [3]), (2, [1])],
    [(0, [0]), (1, [1]), (2, [1]), (3, [3]), (4, [2])],
    [(2, [1, 2]), (3, [3])],
    [(5, [1, 0]), (4, [0, 3]), (2, [1, 2]), (3, [0, 1, 2])],
]


def speech_of(model: AcousticModel, place: int) -> list[UserSpeech]:
    draw = torch.Generator().manual_seed(1)
    width = model.encoding_dim(place)
    return [
        UserSpeech(
            f"user-{user}",
            user,
            [torch.randn(11 + 3 * row + 2 * user, width, generator=draw) for row in range(ROWS_EACH)],
            [torch.tensor([3, 4, 5])] * ROWS_EACH,
            ["abc"] * ROWS_EACH,
            [Part([0, 1, 2], [3])],
        )
        for user in range(NUM_USERS)
    ]


def heard(model: AcousticModel, place: int, company: Sequence[tuple[int, list[int]]]) -> tuple[Tensor, Tensor]:
    """Log-probabilities and gradients of the frames of row 1 of user 2."""
    speeches = speech_of(model, place)
    table = SpeechTable([speeches[user] for user, _ in company], torch.device("cpu"))
    rows = table.rows(list(range(len(company))), [own for _, own in company])
    frames = rows.frames.requires_grad_()
    log_probs = head_log_probs(model, rows, frames, place)
    ctc_losses(log_probs, rows.lengths, rows.tokens, rows.num_tokens).sum().backward()
    assert frames.grad is not None
    (row,) = [at for at, one in enumerate((user, own) for user, rows_of in company for own in rows_of) if one == (2, 1)]
    return log_probs[row, : rows.lengths[row]].detach(), frames.grad[rows.row_of_frame == row]


@pytest.mark.parametrize("rnn_type", list(RnnType))
@pytest.mark.parametrize("width", [24, 160])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_row_is_the_same_in_any_company(rnn_type: RnnType, width: int, place: int, one_thread: None) -> None:
    torch.manual_seed(0)
    config = ModelConfig(conv_channels=2, num_rnn_layers=2, rnn_hidden_dim=width, rnn_type=rnn_type)
    model = build_model(config, AudioConfig(num_mels=16), 30)
    assert model.same_in_any_batch
    model.freeze_base_model()
    alone = heard(model, place, [(2, [1])])
    for company in COMPANIES:
        together = heard(model, place, company)
        assert torch.equal(together[0], alone[0])
        assert torch.equal(together[1], alone[1])
