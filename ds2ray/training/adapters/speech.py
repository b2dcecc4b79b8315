"""The speech of users: encoded together, divided among them, and split for training.

Shapes: T encoding frames of an utterance, D width of the encodings, L its tokens.
"""

import logging
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ds2ray import storage
from ds2ray.config import AdaptConfig
from ds2ray.config.adapt import FURTHER_TIMES
from ds2ray.errors import InputError, StorageError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.store import shown_user
from ds2ray.store.keys import private
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.problems import named
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.encode import Encoded, Encoder, drained
from ds2ray.training.adapters.judging.split import Part, split, undivided, with_further
from ds2ray.training.adapters.progress import told
from ds2ray.training.further import FurtherRecording, MadeOf, further_recordings
from ds2ray.training.hold_out import drawn_order
from ds2ray.training.long_recordings import NOT_CREDIBLE, cut_recording, is_long
from ds2ray.training.seeds import derive_seed

TOO_MUCH = "has no transcript, and there is more of such speech than training has steps for"

log = logging.getLogger(__name__)

Users = Mapping[str, Sequence[Utterance]]
"""Utterances by user key."""


@dataclass(frozen=True)
class UserSpeech:
    """One user's usable utterances, encoded and split, further recordings of them, and what was heard in others.

    Attributes:
        seed: of the adapter, its data order and its dropout.
        frames: encodings [T, D] per utterance and, after them, per further recording and per passage that was heard.
        tokens: int64 [L] of each of these.
        transcripts: per utterance.
        parts: an adapter is trained for each, and the first is the user's (see `split`); none where the utterances
            are too few.
        dropped: utterances that cannot be used, counted by reason.
        untranscribed: encodings [T, D] of utterances without a transcript, until they are listened to.
        num_heard: of these, in which something was heard surely enough to learn from it.
        weights: of the losses of rows, where it is not 1.
    """

    user_key: str
    seed: int
    frames: list[Tensor]
    tokens: Sequence[Tensor]
    transcripts: Sequence[str]
    parts: Sequence[Part]
    dropped: dict[str, int] = field(default_factory=dict)
    untranscribed: list[Tensor] = field(default_factory=list)
    num_heard: int = 0
    weights: Mapping[int, float] = field(default_factory=dict)

    @property
    def held_out(self) -> list[int]:
        """The held-out utterances of all parts."""
        return [row for part in self.parts for row in part.held_out]


def encode_users(encoder: Encoder, users: Users, adapt: AdaptConfig) -> list[UserSpeech]:
    """The speech of all users, encoded together."""
    return drained(encoding_of_users(encoder, users, adapt))


def encoding_of_users(encoder: Encoder, users: Users, adapt: AdaptConfig) -> Generator[int, None, list[UserSpeech]]:
    """As `encode_users`; yields how many utterances are done, of which further recordings are their share of audio."""
    users, refused = _as_much_as_trained(users, adapt)
    if encoder.segment_long:
        users, of_long = yield from _with_segments(encoder, users)
        refused = {user_key: refused[user_key] + of_long[user_key] for user_key in users}
    times = 1 + FURTHER_TIMES if has_further(encoder.base.model, encoder.after_layer, adapt) else 1
    encoded = yield from told(encoder.encoding(*users.values(), room=1 / times), lambda done: done // times)
    speeches: list[UserSpeech] = []
    kept: list[list[Utterance]] = []
    first = 0
    for user_key, utterances in users.items():
        speech, usable = _usable(user_key, utterances, encoded, first, encoder.base.vocabulary, adapt)
        dropped = refused[user_key] + Counter(speech.dropped)
        speeches.append(replace(speech, dropped=dict(dropped)))
        kept.append(usable)
        first += len(utterances)
    if times == 1:
        return speeches
    frame_s = encoder.base.model.shape.frame_s
    made = [further_of(speech, usable, frame_s) for speech, usable in zip(speeches, kept, strict=True)]
    count = sum(map(len, made))
    further = yield from told(
        encoder.encoding(*made), lambda done: first // times + done * (first - first // times) // count
    )
    whose = [speech.user_key for speech, own in zip(speeches, made, strict=True) for _ in own]
    for index, problem in further.problems.items():
        log.warning("a further recording of %s is left out: %s", shown_user(whose[index]), problem)
    rows = iter(further.encodings)
    space = encoder.base.vocabulary.space
    return [
        with_recordings(speech, [one.recording for one in own], [next(rows) for _ in own], space)
        for speech, own in zip(speeches, made, strict=True)
    ]


def has_further(model: AcousticModel, after_layer: int, adapt: AdaptConfig) -> bool:
    """Whether adapters at a place learn from further recordings, too.

    Not after the last layer: what follows hears each frame by itself, and training takes so little there that encoding
    twice as much would nearly double the work.
    """
    return adapt.further_share > 0 and not model.is_last(after_layer)


def further_of(speech: UserSpeech, utterances: Sequence[Utterance], frame_s: float) -> list[MadeOf]:
    """Further recordings of the utterances that a user's adapters are trained on; no part of the speech divides one.

    Args:
        utterances: all that are usable.
        frame_s: seconds from one encoding frame to the next.
    """
    durations_s = [len(frames) * frame_s for frames in speech.frames]  # the true ones, whatever the manifest says
    ids = [utterance.utterance_id for utterance in utterances]
    return [
        MadeOf(
            recording,
            [utterances[row] for row in recording.rows],
            sum(durations_s[row] for row in recording.rows) + recording.pause_s,
        )
        for recording in further_recordings(ids, durations_s, undivided(speech.parts), speech.seed)
    ]


def with_recordings(
    speech: UserSpeech, recordings: Sequence[FurtherRecording], encodings: Sequence[Tensor | None], space: int
) -> UserSpeech:
    """A user's speech with further recordings of it.

    Args:
        encodings: of the recordings, [T, D]; one without any is left out.
        space: the token between two transcripts; 0: the vocabulary has none.
    """
    known = [(one, frames) for one, frames in zip(recordings, encodings, strict=True) if frames is not None]
    tokens = [one.tokens([speech.tokens[row] for row in one.rows], space) for one, _ in known]
    return replace(
        speech,
        frames=[*speech.frames, *(frames for _, frames in known)],
        tokens=[*speech.tokens, *tokens],
        parts=with_further(speech.parts, [one.rows for one, _ in known], len(speech.frames)),
    )


def _usable(
    user_key: str,
    utterances: Sequence[Utterance],
    encoded: Encoded,
    first: int,
    vocabulary: Vocabulary,
    adapt: AdaptConfig,
) -> tuple[UserSpeech, list[Utterance]]:
    """A user's speech, split, and the utterances that it is of: those with a transcript that could be encoded.

    Args:
        first: place of the user's first utterance among the encoded ones.
    """
    kept: list[Utterance] = []
    frames: list[Tensor] = []
    untranscribed: list[Tensor] = []
    dropped: dict[str, list[Utterance]] = {}
    for index, utterance in enumerate(utterances, start=first):
        rows = encoded.encodings[index]
        if rows is not None and not utterance.transcript.strip():
            untranscribed.append(rows)
        elif rows is not None:
            kept.append(utterance)
            frames.append(rows)
        else:
            dropped.setdefault(encoded.problems[index], []).append(utterance)
    for problem, own in dropped.items():
        others = f" and {len(own) - 1} more" if len(own) > 1 else ""
        which = named(own[0].utterance_id, own[0].line)
        log.warning("%s, %s%s: %s", shown_user(user_key), which, others, private(problem))
    seed = user_seed(user_key, adapt)
    speech = UserSpeech(
        user_key=user_key,
        seed=seed,
        frames=frames,
        tokens=tokens_of(vocabulary, [u.transcript for u in kept]),
        transcripts=[u.transcript for u in kept],
        parts=split([u.utterance_id for u in kept], adapt, seed) if len(kept) >= adapt.min_utterances else [],
        dropped={problem: len(own) for problem, own in dropped.items()},
        untranscribed=untranscribed,
        weights={row: adapt.corrected_weight for row, utterance in enumerate(kept) if utterance.corrected},
    )
    return speech, kept


def _as_much_as_trained(users: Users, adapt: AdaptConfig) -> tuple[Users, dict[str, Counter[str]]]:
    """The users without the utterances that have neither a transcript nor a step of training, and these, counted.

    As many stay as there are steps for if each is in one of them (see `adapt.unlabelled_share`): a draw, in which an
    utterance's place depends on its id alone.
    """
    found: dict[str, Sequence[Utterance]] = {}
    refused: dict[str, Counter[str]] = {}
    for user_key, utterances in users.items():
        waiting = [row for row, utterance in enumerate(utterances) if not utterance.transcript.strip()]
        steps_each = adapt.num_epochs * adapt.unlabelled_share / (1 - adapt.unlabelled_share)
        order = drawn_order([utterances[row].utterance_id for row in waiting], user_seed(user_key, adapt))
        left_out = {waiting[index] for index in order[int(steps_each * (len(utterances) - len(waiting))) :]}
        found[user_key] = [utterance for row, utterance in enumerate(utterances) if row not in left_out]
        refused[user_key] = Counter({TOO_MUCH: len(left_out)} if left_out else {})
    return found, refused


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
            except (InputError, FileNotFoundError, StorageError) as error:
                reason = storage.fault_of(utterance.audio if isinstance(utterance.audio, str) else "", error)
                log.warning(
                    "%s, %s: %s", shown_user(user_key), named(utterance.utterance_id, utterance.line), private(reason)
                )
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
