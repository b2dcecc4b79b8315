"""Narrowband speech of a fleet, and what its base was trained on."""

from collections.abc import Iterable, Mapping
from typing import Any

from ds2ray.tables.manifest import Manifest
from ds2ray.tables.validation import SAMPLED_UP

TELEPHONE_SHARE = "telephone_share"
"""Metric of a base: the share of its training speech that was changed to that of telephones."""


def bandwidth_notes(users: Iterable[Manifest], sample_rate_hz: int, metrics: Mapping[str, Any]) -> list[str]:
    """A line where speech is sampled up to the base's rate: how much of it, and whether the base knows such speech.

    Args:
        users: with their usable utterances; sealed users, whose audio is not opened for a plan, are not among them.
        sample_rate_hz: of the base.
        metrics: of the base's record.
    """
    sampled_up = total = 0
    for user in users:
        sampled_up += user.conversions.get(SAMPLED_UP, 0)
        total += len(user.utterances)
    if not sampled_up:
        return []
    known = metrics.get(TELEPHONE_SHARE)
    if known:
        of_base = f"the base was trained with {known:.0%} of its speech at 8 kHz"
    elif known is None:
        of_base = "nothing is known of the base's own training; it may make several times as many errors in this speech"
    else:
        of_base = (
            "the base was trained on its speech as it is, and may make several times as many errors in this speech: "
            "train one with train.augment.telephone_share=0.25"
        )
    share = sampled_up / max(1, total)
    return [f"bandwidth: {share:.0%} of the utterances are sampled up to {sample_rate_hz} Hz; {of_base}"]
