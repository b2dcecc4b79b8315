"""A cohort: many users' adapters against one frozen base, from speech that is encoded once.

Nothing here knows of Ray or of the store: users go in, results come out one by one.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ds2ray.config import AdaptConfig, AdapterConfig, ErrorMetric
from ds2ray.data.manifest import Utterance
from ds2ray.errors import StorageError
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.weights import Base
from ds2ray.training.encode import encode_utterances
from ds2ray.training.fit import AdapterFit, Evaluation, UserSpeech, evaluate_adapter, fit_adapter, hold_out
from ds2ray.training.seeds import derive_seed

log = logging.getLogger(__name__)

OpenCurrent = Callable[[str], MLPAdapter | None]
"""User key → the adapter that the user has now, where it fits this base."""


@dataclass(frozen=True)
class CohortUser:
    """A user to adapt: the key that seeds everything, and the speech."""

    user_key: str
    utterances: Sequence[Utterance]


@dataclass(frozen=True)
class CohortResult:
    """What became of one user.

    Attributes:
        fit: the trained adapter; None where training was not possible, for `reason`.
        better: whether its held-out error is no worse than the base's and the current adapter's (the gate).
        failed: whether training itself went wrong, as opposed to too little usable speech.
        current: held-out evaluation of the adapter that the user had before.
        dropped: unusable utterances, by reason.
    """

    user_key: str
    seconds: float
    utterances_used: int
    dropped: dict[str, int] = field(default_factory=dict)
    fit: AdapterFit | None = None
    better: bool = False
    failed: bool = False
    reason: str = ""
    current: Evaluation | None = None


@dataclass(frozen=True)
class _EncodedUser:
    user_key: str
    encodings: list[Tensor]
    transcripts: list[str]
    dropped: dict[str, int]


def adapt_cohort(
    base: Base,
    users: Sequence[CohortUser],
    adapter: AdapterConfig,
    adapt: AdaptConfig,
    *,
    open_current: OpenCurrent = lambda user_key: None,
    device: torch.device | str = "cpu",
) -> Iterator[CohortResult]:
    """Encode the speech of all users, then train their adapters; yields each user's result when it is done.

    A user whose speech cannot be used, or whose training fails, is a result like any other.
    """
    base.model.freeze_base_model()
    started_s = time.perf_counter()
    encoded = _encode_users(base, users, adapter.after_layer, adapt.encode_batch_s, device)
    # encoding is shared work: each user is charged an equal part of it
    share_s = (time.perf_counter() - started_s) / max(1, len(users))
    for user in encoded:
        started_s = time.perf_counter()
        result = _adapt_user(base, user, adapter, adapt, open_current, device)
        yield replace(result, seconds=share_s + time.perf_counter() - started_s)


def speech_of(
    base: Base,
    encodings: Sequence[Tensor],
    transcripts: Sequence[str],
    fraction: float,
    seed: int,
    device: torch.device | str,
) -> UserSpeech:
    """Encodings [T, D] and transcripts of one user, split for training."""

    def encode(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        lengths = torch.tensor([len(encodings[row]) for row in rows], device=device)
        padded = torch.nn.utils.rnn.pad_sequence([encodings[row] for row in rows], batch_first=True)
        return padded.to(device), lengths

    train, held_out = hold_out(len(encodings), fraction, seed)
    tokens = [torch.tensor(base.vocabulary.encode_known(text), dtype=torch.int64) for text in transcripts]
    return UserSpeech(encode, [len(rows) for rows in encodings], tokens, transcripts, train, held_out)


def _encode_users(
    base: Base, users: Sequence[CohortUser], after_layer: int, max_padded_s: float, device: torch.device | str
) -> list[_EncodedUser]:
    utterances = [utterance for user in users for utterance in user.utterances]
    encoded = encode_utterances(base, utterances, after_layer=after_layer, max_padded_s=max_padded_s, device=device)
    result, start = [], 0
    for user in users:
        indices = range(start, start + len(user.utterances))
        start = indices.stop
        kept = [(encoded.encodings[index], utterances[index].transcript) for index in indices]
        for index in indices:
            if index in encoded.problems:
                utterance = utterances[index]
                log.warning("%s, utterance %s: %s", user.user_key, utterance.utterance_id, encoded.problems[index])
        result.append(
            _EncodedUser(
                user.user_key,
                [rows for rows, _ in kept if rows is not None],
                [transcript for rows, transcript in kept if rows is not None],
                dict(Counter(encoded.problems[index] for index in indices if index in encoded.problems)),
            )
        )
    return result


def _adapt_user(
    base: Base,
    user: _EncodedUser,
    config: AdapterConfig,
    adapt: AdaptConfig,
    open_current: OpenCurrent,
    device: torch.device | str,
) -> CohortResult:
    untrained = CohortResult(user.user_key, 0.0, len(user.encodings), user.dropped)
    if len(user.encodings) < adapt.min_utterances:
        reason = f"{len(user.encodings)} usable utterances, at least {adapt.min_utterances} are needed"
        causes = "; ".join(f"{count} × {cause}" for cause, count in user.dropped.items())
        return replace(untrained, reason=f"{reason} ({causes})" if causes else reason)
    seed = derive_seed(adapt.seed, user.user_key)
    speech = speech_of(base, user.encodings, user.transcripts, adapt.held_out_fraction, seed, device)
    torch.manual_seed(seed)
    adapter = MLPAdapter.from_config(base.model.encoding_dim(config.after_layer), config).to(device)
    try:
        fit = fit_adapter(
            base.model, adapter, speech, base.vocabulary, adapt, seed=seed, after_layer=config.after_layer
        )
        current_adapter = open_current(user.user_key)
        current = None
        if current_adapter is not None:
            current = evaluate_adapter(
                base.model, current_adapter.to(device), speech, base.vocabulary, adapt.batch_size, config.after_layer
            )
    except StorageError:
        raise
    except Exception as error:
        # whatever goes wrong with one user must not stop the others
        log.exception("%s: training failed", user.user_key)
        return replace(untrained, failed=True, reason=f"{type(error).__name__}: {error}")
    reason = gate(fit, current, adapt.gate_metric)
    return replace(untrained, fit=fit, better=not reason, reason=reason, current=current)


def gate(fit: AdapterFit, current: Evaluation | None, metric: ErrorMetric) -> str:
    """Why a trained adapter must not be published; empty where it may.

    Its held-out error must be no worse than the base's and the current adapter's.
    """
    name = metric.name.upper()
    after = fit.score_after.rate(metric)
    if fit.loss_after >= fit.loss_before:
        return f"training did not lower the held-out loss ({fit.loss_before:.3f})"
    if after > fit.score_before.rate(metric):
        return f"held-out {name} {after:.1%} is worse than the base's {fit.score_before.rate(metric):.1%}"
    if current is not None and after > current.score.rate(metric):
        return f"held-out {name} {after:.1%} is worse than the current adapter's {current.score.rate(metric):.1%}"
    return ""
