"""The speech of users: encoded together, divided among them, and split for training.

Shapes: T encoding frames of an utterance, D width of the encodings, L its tokens.
"""

import logging
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ds2ray.config import AdaptConfig
from ds2ray.errors import InputError
from ds2ray.store import shown_user
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.encode import Encoder, drained
from ds2ray.training.adapters.split import Part, split
from ds2ray.training.long_recordings import NOT_CREDIBLE, cut_recording, is_long
from ds2ray.training.seeds import derive_seed

log = logging.getLogger(__name__)

Users = Mapping[str, Sequence[Utterance]]
"""Utterances by user key."""


@dataclass(frozen=True)
class UserSpeech:
    """One user's usable utterances, encoded and split.

    Attributes:
        seed: of the adapter, its data order and its dropout.
        frames: encodings [T, D] per utterance.
        tokens: int64 [L] per utterance.
        transcripts: per utterance.
        parts: an adapter is trained for each, and the first is the user's (see `split`); none where the utterances
            are too few.
        dropped: utterances that cannot be used, counted by reason.
    """

    user_key: str
    seed: int
    frames: list[Tensor]
    tokens: Sequence[Tensor]
    transcripts: Sequence[str]
    parts: Sequence[Part]
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def held_out(self) -> list[int]:
        """The held-out utterances of all parts."""
        return [row for part in self.parts for row in part.held_out]


def encode_users(encoder: Encoder, users: Users, adapt: AdaptConfig) -> list[UserSpeech]:
    """The speech of all users, encoded together."""
    return drained(encoding_of_users(encoder, users, adapt))


def encoding_of_users(encoder: Encoder, users: Users, adapt: AdaptConfig) -> Generator[int, None, list[UserSpeech]]:
    """As `encode_users`; yields how many utterances are done."""
    refused: dict[str, Counter[str]] = {}
    if encoder.segment_long:
        users, refused = yield from _with_segments(encoder, users)
    encoded = yield from encoder.encoding(*users.values())
    speeches, first = [], 0
    for user_key, utterances in users.items():
        kept: list[Utterance] = []
        frames: list[Tensor] = []
        dropped = refused.get(user_key, Counter())
        for index, utterance in enumerate(utterances, start=first):
            rows = encoded.encodings[index]
            if rows is not None:
                kept.append(utterance)
                frames.append(rows)
            else:
                who, what = shown_user(user_key), utterance.utterance_id
                log.warning("%s, utterance %s: %s", who, what, encoded.problems[index])
                dropped[encoded.problems[index]] += 1
        first += len(utterances)
        seed = user_seed(user_key, adapt)
        speeches.append(
            UserSpeech(
                user_key=user_key,
                seed=seed,
                frames=frames,
                tokens=tokens_of(encoder.base.vocabulary, [u.transcript for u in kept]),
                transcripts=[u.transcript for u in kept],
                parts=split([u.utterance_id for u in kept], adapt, seed) if len(kept) >= adapt.min_utterances else [],
                dropped=dict(dropped),
            )
        )
    return speeches


def _with_segments(encoder: Encoder, users: Users) -> Generator[int, None, tuple[Users, dict[str, Counter[str]]]]:
    """The users with the segments of their long recordings, and what was left out, counted by reason.

    Yields after every recording, 0, as nothing is encoded yet.
    """
    found: dict[str, list[Utterance]] = {}
    refused: dict[str, Counter[str]] = {}
    encoder.base.model.to(encoder.device).eval()
    for user_key, utterances in users.items():
        own, dropped = found.setdefault(user_key, []), refused.setdefault(user_key, Counter())
        for utterance in utterances:
            if not is_long(utterance, encoder.max_duration_s):
                own.append(utterance)
                continue
            try:
                cut = cut_recording(utterance, encoder.base, encoder.max_duration_s)
            except (InputError, FileNotFoundError) as error:
                reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
                log.warning("%s, utterance %s: %s", shown_user(user_key), utterance.utterance_id, reason)
                dropped[reason] += 1
                continue
            own += cut.utterances
            if cut.num_left_out:
                dropped[NOT_CREDIBLE] += cut.num_left_out
            yield 0
    return found, refused


def tokens_of(vocabulary: Vocabulary, transcripts: Sequence[str]) -> list[Tensor]:
    """The tokens of transcripts, int64 [L] each."""
    return [torch.tensor(vocabulary.encode_known(text), dtype=torch.int64) for text in transcripts]


def user_seed(user_key: str, adapt: AdaptConfig) -> int:
    """The seed of a user's adapter, data order and dropout."""
    return derive_seed(adapt.seed, user_key)
