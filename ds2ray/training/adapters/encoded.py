"""The speech of a cohort's users: encoded together, divided among them, and split for training.

Shapes: T encoding frames of an utterance, D width of the encodings.
"""

import logging
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ds2ray.config import AdaptConfig
from ds2ray.model.weights import Base
from ds2ray.store import shown_user
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.encode import Encoder, drained
from ds2ray.training.adapters.fit import UserSpeech, pad_frames
from ds2ray.training.adapters.split import split
from ds2ray.training.seeds import derive_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortUser:
    """A user to adapt: the key that seeds everything, and the speech."""

    user_key: str
    utterances: Sequence[Utterance]


@dataclass(frozen=True)
class EncodedUser:
    """A user's usable utterances: encodings [T, D], ids and transcripts; what was dropped, by reason."""

    user_key: str
    encodings: list[Tensor]
    utterance_ids: list[str]
    transcripts: list[str]
    dropped: dict[str, int]


def encode_users(encoder: Encoder, users: Sequence[CohortUser]) -> list[EncodedUser]:
    """Encode all users' speech together, and divide it among them again."""
    return drained(encoding_of_users(encoder, users))


def encoding_of_users(encoder: Encoder, users: Sequence[CohortUser]) -> Generator[int, None, list[EncodedUser]]:
    """As `encode_users`; yields how many utterances are done."""
    utterances = [utterance for user in users for utterance in user.utterances]
    encoded = yield from encoder.encoding(utterances)
    result, start = [], 0
    for user in users:
        indices = range(start, start + len(user.utterances))
        start = indices.stop
        kept = [(rows, utterances[index]) for index in indices if (rows := encoded.encodings[index]) is not None]
        for index in indices:
            if index in encoded.problems:
                who, what = shown_user(user.user_key), utterances[index].utterance_id
                log.warning("%s, utterance %s: %s", who, what, encoded.problems[index])
        result.append(
            EncodedUser(
                user.user_key,
                [rows for rows, _ in kept],
                [utterance.utterance_id for _, utterance in kept],
                [utterance.transcript for _, utterance in kept],
                dict(Counter(encoded.problems[index] for index in indices if index in encoded.problems)),
            )
        )
    return result


def speech_of(base: Base, user: EncodedUser, adapt: AdaptConfig, device: torch.device | str) -> UserSpeech:
    """A user's speech, split for training."""

    def encode(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        return pad_frames([user.encodings[row].to(device).float() for row in rows])

    parts = split(user.utterance_ids, adapt, user_seed(user.user_key, adapt))
    tokens = [torch.tensor(base.vocabulary.encode_known(text), dtype=torch.int64) for text in user.transcripts]
    return UserSpeech(encode, [len(rows) for rows in user.encodings], tokens, user.transcripts, parts)


def user_seed(user_key: str, adapt: AdaptConfig) -> int:
    """The seed of a user's adapter, data order and dropout."""
    return derive_seed(adapt.seed, user_key)
