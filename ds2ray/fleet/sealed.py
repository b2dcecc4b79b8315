"""The speech of sealed users: the plan does not open their manifests, the trial that trains them does."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ds2ray.config import BadRows, DataConfig
from ds2ray.fleet.plan import UserPlan
from ds2ray.shapes.shape import Shape
from ds2ray.storage import AddressFault
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.tables.manifest import Manifest
from ds2ray.tables.problems import ProblemKind, listed, num_dropped, reasons_of
from ds2ray.tables.users import at_once, read_user, usable_users
from ds2ray.tables.users_table import UserRow
from ds2ray.text import Vocabulary


def open_sealed(
    users: Sequence[UserPlan], *, data: DataConfig, shape: Shape, vocabulary: Vocabulary
) -> tuple[list[UserPlan], list[Outcome]]:
    """Read and validate the manifests of the sealed users among these, with one request each.

    Returns:
        The users with their usable utterances, in their order, and a failed outcome for each user whose manifest
        cannot be used, so that the next run tries the user again, even with the same version.

    Raises:
        StorageError: the server fails that the store lies on.
    """
    sealed = [user for user in users if user.row is not None]
    rows = [user.row for user in sealed if user.row]
    read_at_once = at_once(partial(read_user, data=data), rows)
    found = dict(zip((user.user_key for user in sealed), read_at_once, strict=True))
    read = {key: speech for key, speech in found.items() if isinstance(speech, Manifest)}
    checked = usable_users(list(read.values()), data=data, shape=shape, vocabulary=vocabulary)
    usable = dict(zip(read, checked, strict=True))
    opened, failed = [], []
    for user in users:
        if user.row is None:
            opened.append(user)
            continue
        speech = usable.get(user.user_key)
        unread = found[user.user_key]
        reason = _refusal(speech, data) if speech else _unreadable(user.row, unread)
        if speech is None or reason:
            failed.append(
                Outcome(
                    user_key=user.user_key,
                    status=Status.failed,
                    reason=reason,
                    utterances_dropped=num_dropped(speech.problems) if speech else 0,
                    fingerprint=user.fingerprint,
                )
            )
            continue
        opened.append(
            replace(
                user,
                utterances=tuple(speech.utterances),
                num_utterances=len(speech.utterances),
                num_dropped=num_dropped(speech.problems),
                reasons=reasons_of(speech.problems),
            )
        )
    return opened, failed


def _unreadable(row: UserRow, found: object) -> str:
    reason = found.reason if isinstance(found, AddressFault) else ""
    return f"its manifest cannot be read: {row.manifest_uri}: {reason}; write it again, or correct the users table"


def _refusal(speech: Manifest, data: DataConfig) -> str:
    """Why the user must not be trained, where `data.bad_audio` refuses unusable utterances; empty where it may."""
    refused = [problem for problem in speech.problems if problem.kind is not ProblemKind.row]
    if data.bad_audio is not BadRows.refuse or not refused:
        return ""
    return f"data.bad_audio=refuse, and there are utterances that cannot be used: {listed(reasons_of(refused))}"
