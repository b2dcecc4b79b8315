"""The split of a user's utterances into training speech and held-out speech."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ds2ray.config import AdaptConfig
from ds2ray.training.hold_out import drawn_order, hold_out
from ds2ray.training.seeds import derive_seed

CROSS_VALIDATED = "cross_validated"
"""The rule of an adapter that trains on everything and is judged by cross-validation."""

OWN_MANIFEST = "own_manifest"
"""The rule of an adapter whose held-out speech has a manifest of its own."""


@dataclass(frozen=True)
class Part:
    """Utterance indices: `train` gives gradients, `held_out` never does. Either in rising order.

    Attributes:
        further: further recordings, all of whose utterances are in `train`: indices that follow those of all
            utterances.
        heard: passages of speech without transcripts: indices that follow those of all recordings.
    """

    train: Sequence[int]
    held_out: Sequence[int]
    further: Sequence[int] = ()
    heard: Sequence[int] = ()


def split(utterance_ids: Sequence[str], config: AdaptConfig, seed: int) -> list[Part]:
    """The parts of a user's speech: one adapter is trained per part, and the first is the user's.

    With enough speech there is one part, with a share of the utterances held out. A user with little speech
    (`config.cross_validate_below`) has a first part that trains on everything and holds nothing out, and
    `config.num_folds` further ones whose held-out utterances are all of them together: k-fold cross-validation.
    """
    if len(utterance_ids) >= config.cross_validate_below:
        return [Part(*hold_out(utterance_ids, config.held_out_fraction, seed))]
    order = drawn_order(utterance_ids, seed)
    num_folds = min(config.num_folds, len(order))
    everything = range(len(order))
    folds = [set(order[fold::num_folds]) for fold in range(num_folds)]
    return [
        Part(everything, []),
        *(Part([row for row in everything if row not in fold], sorted(fold)) for fold in folds),
    ]


def undivided(parts: Sequence[Part]) -> list[list[int]]:
    """Groups of utterances that each part has all or none of in its training speech; without those that none has."""
    groups: dict[tuple[bool, ...], list[int]] = {}
    trained = [set(part.train) for part in parts]
    for row in sorted(set().union(*trained)):
        groups.setdefault(tuple(row in rows for rows in trained), []).append(row)
    return list(groups.values())


def with_further(parts: Sequence[Part], made_of: Sequence[Sequence[int]], first: int) -> list[Part]:
    """Parts that train on further recordings, too.

    Args:
        made_of: the utterances of each recording, which no part divides.
        first: index of the first recording.
    """
    trained = [set(part.train) for part in parts]
    return [
        replace(part, further=[first + number for number, rows in enumerate(made_of) if own.issuperset(rows)])
        for part, own in zip(parts, trained, strict=True)
    ]


def split_rule(num_utterances: int, config: AdaptConfig) -> str:
    """The code of what `split` goes by, as `hold_out:0.2:0` (share and seed).

    An adapter of another rule may have learned from what this one holds out.
    """
    if num_utterances < config.cross_validate_below:
        return CROSS_VALIDATED
    return f"hold_out:{config.held_out_fraction}:{config.seed}"


def part_seed(seed: int, part: int) -> int:
    """The seed of a part's data order and dropout."""
    return seed if part == 0 else derive_seed(seed, "fold", part)
