"""The plan of a run: who is new, changed or unchanged, and which users are trained together. Pure: it opens nothing."""

import hashlib
import heapq
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ds2ray.config import AdaptConfig, AdapterConfig, to_plain
from ds2ray.data.manifest import Utterance
from ds2ray.data.notes import reading_notes
from ds2ray.data.rows import Problem
from ds2ray.data.users import UserData
from ds2ray.errors import InputError
from ds2ray.fleet.index import IndexRow
from ds2ray.fleet.store import user_key
from ds2ray.storage import ObjectInfo

if TYPE_CHECKING:
    import pyarrow as pa

FINGERPRINT_LENGTH = 32
"""Hex digits of a user's fingerprint: enough for any fleet, and half the size of the index."""

_ONLY_HOW = frozenset(
    {
        *("encode_batch_s", "max_cohort_users", "max_cohort_s", "gpus_per_trial", "cpus_per_trial"),
        *("max_concurrent_trials", "max_failed_ratio", "max_attempts", "force"),
    }
)
"""Settings of how adapters are trained that leave what is trained as it is."""


class Change(Enum):
    new = "new"  # no run has finished this user yet
    changed = "changed"  # other data, base or settings than the last run's, a failure then, or adapt.force
    unchanged = "unchanged"  # nothing to do
    skipped = "skipped"  # too few usable utterances


@dataclass(frozen=True, kw_only=True)
class UserPlan:
    """What is to be done for one user. `reasons` counts, by cause, what was wrong with rows left out."""

    user_id: str
    user_key: str
    utterances: tuple[Utterance, ...]
    speech_s: float
    num_dropped: int
    reasons: dict[str, int]
    fingerprint: str
    change: Change

    @property
    def to_train(self) -> bool:
        return self.change in (Change.new, Change.changed)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All users, in the order of the table; cohorts of indices into them, the one with the most speech first."""

    users: tuple[UserPlan, ...]
    cohorts: tuple[tuple[int, ...], ...]
    problems: tuple[Problem, ...]  # of users' rows and of rows that belong to nobody
    notes: tuple[str, ...] = ()  # what was converted, left out or ignored in reading

    def count(self, change: Change) -> int:
        return sum(user.change is change for user in self.users)


def plan_run(
    users: Sequence[UserData],
    problems: Sequence[Problem],
    index: Mapping[str, IndexRow],
    object_infos: Mapping[str, ObjectInfo | None],
    *,
    base_fingerprint: str,
    adapter: AdapterConfig,
    adapt: AdaptConfig,
    min_cohorts: int = 1,
) -> Plan:
    """Compare the users with what the index knows of them and pack those to train into cohorts.

    Args:
        users: with usable utterances only; their problems say what was left out.
        problems: of rows that belong to no user.
        object_infos: by audio URI, as `storage.stat_many` gives them.
        min_cohorts: trials that can run at the same time.

    Raises:
        InputError: two users would share a name in the store, or an id cannot be one.
    """
    keys = _user_keys(users)
    settings = settings_that_matter(adapter, adapt)
    planned = []
    for user, key in zip(users, keys, strict=True):
        fingerprint = user_fingerprint(user.utterances, object_infos, base_fingerprint, settings)
        planned.append(
            UserPlan(
                user_id=user.user_id,
                user_key=key,
                utterances=tuple(user.utterances),
                speech_s=math.fsum(utterance.duration_s or 0.0 for utterance in user.utterances),
                num_dropped=len({(problem.manifest_uri, problem.line) for problem in user.problems}),
                reasons=dict(Counter(cause(problem) for problem in user.problems)),
                fingerprint=fingerprint,
                change=_change(len(user.utterances), fingerprint, index.get(key), adapt),
            )
        )
    to_train = [number for number, user in enumerate(planned) if user.to_train]
    packed = pack_cohorts(
        [planned[number].speech_s for number in to_train],
        max_users=adapt.max_cohort_users,
        max_speech_s=adapt.max_cohort_s,
        min_cohorts=min_cohorts,
    )
    return Plan(
        users=tuple(planned),
        cohorts=tuple(tuple(to_train[number] for number in cohort) for cohort in packed),
        problems=(*(problem for user in users for problem in user.problems), *problems),
        notes=tuple(reading_notes(users)),
    )


def cause(problem: Problem) -> str:
    """What a problem has in common with others of its kind: the column and the reason without its particulars."""
    reason = problem.reason
    for mark in (":", "(", ";"):
        reason = reason.partition(mark)[0]
    return f"{problem.column} {reason}".strip()


def settings_that_matter(adapter: AdapterConfig, adapt: AdaptConfig) -> dict[str, Any]:
    """The settings that decide what an adapter becomes, and not only how fast: adapters are trained anew for them."""
    return {
        "adapter": to_plain(adapter),
        "adapt": {name: value for name, value in to_plain(adapt).items() if name not in _ONLY_HOW},
    }


def user_fingerprint(
    utterances: Iterable[Utterance],
    object_infos: Mapping[str, ObjectInfo | None],
    base_fingerprint: str,
    settings: Mapping[str, Any],
) -> str:
    """What a user's adapter is made of, in 32 hex digits: speech, transcripts, base and settings.

    Neither the order of rows nor the place of the audio matters: stored audio is told by its version tag.
    """
    rows = sorted((u.utterance_id, _audio_tag(u.audio, object_infos), u.transcript) for u in utterances)
    text = json.dumps([base_fingerprint, settings, rows], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def pack_cohorts(
    speech_s: Sequence[float], *, max_users: int, max_speech_s: float, min_cohorts: int
) -> list[list[int]]:
    """Divide users into cohorts of about equal amounts of speech.

    The user with the most speech goes first, always to the cohort that has the least. A cohort holds at most
    `max_users` and, but for a single user with more, `max_speech_s` seconds.

    Returns:
        Lists of indices into `speech_s`, each index once; the cohort with the most speech first.
    """
    order = sorted(range(len(speech_s)), key=lambda user: (-speech_s[user], user))
    wanted = max(min_cohorts, math.ceil(len(order) / max_users), math.ceil(math.fsum(speech_s) / max_speech_s))
    cohorts: list[list[int]] = [[] for _ in range(min(wanted, len(order)))]
    # by speech, then by users, so that users without speech are spread, too
    open_cohorts = [(0.0, 0, number) for number in range(len(cohorts))]
    for user in order:
        if not open_cohorts or (open_cohorts[0][1] and open_cohorts[0][0] + speech_s[user] > max_speech_s):
            cohorts.append([])
            heapq.heappush(open_cohorts, (0.0, 0, len(cohorts) - 1))
        load_s, num_users, number = heapq.heappop(open_cohorts)
        cohorts[number].append(user)
        if num_users + 1 < max_users:
            heapq.heappush(open_cohorts, (load_s + speech_s[user], num_users + 1, number))
    return sorted(cohorts, key=lambda cohort: (-math.fsum(speech_s[user] for user in cohort), cohort))


def plan_table(plan: Plan) -> "pa.Table":
    """The plan as a table, for the run's folder. It holds user keys, no ids."""
    import pyarrow as pa

    cohort_of = {user: number for number, cohort in enumerate(plan.cohorts) for user in cohort}
    rows = [
        {
            "user_key": user.user_key,
            "change": user.change.value,
            "num_utterances": len(user.utterances),
            "num_dropped": user.num_dropped,
            "speech_s": user.speech_s,
            "fingerprint": user.fingerprint,
            "cohort": cohort_of.get(number),
        }
        for number, user in enumerate(plan.users)
    ]
    types = {"num_utterances": pa.int32(), "num_dropped": pa.int32(), "speech_s": pa.float64(), "cohort": pa.int32()}
    names = ("user_key", "change", "num_utterances", "num_dropped", "speech_s", "fingerprint", "cohort")
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, types.get(name, pa.string())) for name in names]))


def _user_keys(users: Sequence[UserData]) -> list[str]:
    keys, refused = [], []
    ids_of: defaultdict[str, list[str]] = defaultdict(list)
    for user in users:
        try:
            keys.append(user_key(user.user_id))
            ids_of[keys[-1]].append(user.user_id)
        except InputError as error:
            refused.append(str(error))
    for key, ids in ids_of.items():
        if len(ids) > 1:
            listed = ", ".join(map(ascii, ids))
            refused.append(f"users {listed} would share the name {key} in the store; give each user one id")
    if refused:
        more = [f"… and {len(refused) - 50} more"] if len(refused) > 50 else []
        raise InputError("\n".join([*refused[:50], *more]))
    return keys


def _audio_tag(audio: str | bytes, object_infos: Mapping[str, ObjectInfo | None]) -> str:
    if isinstance(audio, bytes):
        return hashlib.sha256(audio).hexdigest()
    info = object_infos.get(audio)
    return info.version_tag if info else ""


def _change(num_utterances: int, fingerprint: str, known: IndexRow | None, adapt: AdaptConfig) -> Change:
    if num_utterances < adapt.min_utterances:
        return Change.skipped
    if known is None:
        return Change.new
    return Change.unchanged if known.fingerprint == fingerprint and not adapt.force else Change.changed
