"""The causes for which users have no new adapter, with what to do about each."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ds2ray.naming import typed
from ds2ray.store.outcomes import Outcome, Status

MAX_EXAMPLES = 5

_PARTICULARS = re.compile(r"\b[\w+.-]+://\S+|(?<![\w/])/\S+|\d+(?:[.,]\d+)*(?:\s?%)?")
_ENDS = re.compile(r"[;(]|: ")
_REMEDIES = (
    (
        re.compile("memory|worker|cohort was started"),
        "Give trials more memory: adapt.max_concurrent_trials=1, or a smaller adapt.max_cohort_s.",
    ),
    (
        re.compile("cannot be read|unreadable|cannot be opened|no such"),
        "See whether manifest and audio are where the users table says, and can be read from every node.",
    ),
    (
        re.compile("usable utterances"),
        "Record more speech, or lower adapt.min_utterances; what was left out of it, and why, is in the reason.",
    ),
    (
        re.compile("finite|NaN", re.IGNORECASE),
        "Lower adapt.learning_rate; look for damaged audio among the user's utterances.",
    ),
    (re.compile("refuse"), "Correct or remove these utterances, or let them be left out: data.bad_audio=skip."),
)
_BY_STATUS = {
    Status.kept_previous: "Nothing: the users keep what they have, and new speech is tried when it comes.",
    Status.skipped_no_data: "Look at the users' manifests.",
    Status.failed: "The next run tries them again; run `{again}` with the same settings to do so now.",
}
_CONCERNED = (Status.failed, Status.skipped_no_data, Status.kept_previous)


@dataclass(frozen=True)
class Cause:
    """Why some users have no new adapter.

    Attributes:
        text: what their reasons have in common.
        examples: keys of some of them.
        reason: the whole reason of the first.
    """

    status: Status
    text: str
    count: int
    examples: tuple[str, ...]
    reason: str
    remedy: str


def causes_of(outcomes: Iterable[Outcome]) -> list[Cause]:
    """The causes of failed, skipped and kept users, in this order, the most frequent of each first."""
    alike: defaultdict[tuple[Status, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status in _CONCERNED:
            alike[outcome.status, _in_common(outcome.reason)].append(outcome)
    found = [
        Cause(
            status,
            text or "no reason is told",
            len(rows),
            tuple(row.user_key for row in rows[:MAX_EXAMPLES]),
            rows[0].reason,
            _remedy(status, rows[0].reason),
        )
        for (status, text), rows in alike.items()
    ]
    return sorted(found, key=lambda cause: (_CONCERNED.index(cause.status), -cause.count, cause.text))


def _in_common(reason: str) -> str:
    """A reason without its particulars: numbers, addresses, and what stands behind its first clause."""
    return _PARTICULARS.sub("…", _ENDS.split(reason, maxsplit=1)[0]).strip()


def _remedy(status: Status, reason: str) -> str:
    if status is not Status.kept_previous:
        for pattern, remedy in _REMEDIES:
            if pattern.search(reason):
                return remedy
    return _BY_STATUS[status].format(again=typed("adapt_users"))
