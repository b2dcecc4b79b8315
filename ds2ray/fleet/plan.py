"""The plan of a run: new, changed and unchanged users, and the cohorts to train. Pure: it opens nothing.

Unchanged users stay in columns: a night of a million users makes objects only of the few that need work.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ds2ray.config import AdaptConfig, AdapterConfig, DataConfig
from ds2ray.fleet.cohorts import CohortSize, pack_cohorts
from ds2ray.fleet.fingerprints import (
    pipeline_state,
    sealed_fingerprints,
    settings_of_user,
    settings_that_matter,
    user_fingerprint,
    with_unlabelled,
)
from ds2ray.storage import ObjectInfo
from ds2ray.store.keys import user_keys
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.problems import Problem, num_dropped, reasons_of
from ds2ray.tables.users import Fleet, num_expected
from ds2ray.tables.users_table import UserRow, user_rows

if TYPE_CHECKING:
    import pyarrow as pa

_UNCHANGED_COLUMNS = ["user_key", "fingerprint", "num_utterances", "num_dropped", "speech_s", "version", "unusable"]


class Change(Enum):
    new = "new"  # no run has finished this user yet
    # other data, base or settings than the last run's, a failure then, unusable speech that is due again, adapt.force
    changed = "changed"
    unchanged = "unchanged"  # nothing to do
    skipped = "skipped"  # too few usable utterances


@dataclass(frozen=True, kw_only=True, slots=True)
class UserPlan:
    """The plan of one user. `reasons` counts the rows left out, by cause.

    A sealed user has no utterances yet: `row` names the manifest, which is read where the user is trained.
    """

    user_id: str
    user_key: str
    utterances: tuple[Utterance, ...]
    num_utterances: int
    speech_s: float
    num_dropped: int
    reasons: dict[str, int]
    fingerprint: str
    change: Change
    row: UserRow | None = None

    @property
    def to_train(self) -> bool:
        return self.change in (Change.new, Change.changed)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All users, ordered by their keys, so that the order of rows in a table changes nothing.

    Attributes:
        users: the new, changed and skipped ones.
        unchanged: the others: columns user_key, fingerprint, num_utterances, num_dropped, speech_s, version (of the
            adapter; empty without one) and unusable (without usable speech for a cause in the data pipeline).
        cohorts: of indices into `users`, the one with the most speech first.
        problems: of users' rows and of rows that belong to nobody.
        notes: conversions, omissions and ignored columns of the tables.
        num_erased: users of the table who are none of these, as they were erased from the store.
    """

    users: tuple[UserPlan, ...]
    unchanged: "pa.Table"
    cohorts: tuple[tuple[int, ...], ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    num_erased: int = 0

    @property
    def num_users(self) -> int:
        return len(self.users) + int(self.unchanged.num_rows)

    @property
    def user_keys(self) -> list[str]:
        """Of all users."""
        return [*(user.user_key for user in self.users), *self.unchanged["user_key"].to_pylist()]

    @property
    def speech_s(self) -> float:
        """Speech of all users in seconds, as far as it is known."""
        import pyarrow.compute as pc

        unchanged_s = pc.sum(self.unchanged["speech_s"], min_count=0).as_py()
        return math.fsum(user.speech_s for user in self.users) + float(unchanged_s)

    def count_unchanged(self, *, with_adapter: bool) -> int:
        """The unchanged users who have an adapter, or those who have none."""
        return num_with_adapter(self.unchanged, with_adapter)

    def count(self, change: Change) -> int:
        if change is Change.unchanged:
            return int(self.unchanged.num_rows)
        return sum(user.change is change for user in self.users)


def num_with_adapter(unchanged: "pa.Table", with_adapter: bool = True) -> int:
    """How many of these unchanged users have an adapter, or have none."""
    import pyarrow.compute as pc

    if "version" not in unchanged.column_names:
        return 0 if with_adapter else int(unchanged.num_rows)
    has_one = int(pc.sum(pc.not_equal(unchanged["version"], ""), min_count=0).as_py())
    return has_one if with_adapter else int(unchanged.num_rows) - has_one


def plan_run(
    fleet: Fleet,
    index: "pa.Table",
    object_infos: Mapping[str, ObjectInfo | None],
    *,
    base_fingerprint: str,
    adapter: AdapterConfig,
    adapt: AdaptConfig,
    data: DataConfig,
    size: CohortSize,
    now_s: float = math.inf,
) -> Plan:
    """Compare the users with their rows in the index, and pack the users to train into cohorts.

    Args:
        fleet: its users with usable utterances only; their problems name the rows left out.
        index: as `read_known` gives it; user_key and fingerprint have to be there.
        object_infos: by audio URI, as `storage.stat_many` gives them.
        data: which utterances of sealed users will be usable.
        size: how large cohorts may be, and how many are wanted.
        now_s: seconds since 1970; inf: whatever waits for a time is due.

    Raises:
        InputError: two users would share a name in the store, or an id cannot be one.
    """
    import pyarrow.compute as pc

    settings = settings_that_matter(adapter, adapt)
    sealed = fleet.table.rows
    fingerprints = [
        user_fingerprint(
            user.utterances, object_infos, base_fingerprint, settings_of_user(settings, user.utterances, data, adapt)
        )
        for user in fleet.users
    ]
    of_sealed = with_unlabelled(settings, data, adapt)
    fingerprints += sealed_fingerprints(sealed["version"].to_pylist(), base_fingerprint, of_sealed, data)
    known = _known(index, adapt, pipeline_state(data), now_s)
    everyone = _with_changes(_everyone(fleet, fingerprints, data), known, adapt, data)
    is_unchanged = pc.equal(everyone["change"], Change.unchanged.value)
    planned = _planned(everyone.filter(pc.invert(is_unchanged)), fleet)
    return Plan(
        users=tuple(planned),
        unchanged=everyone.filter(is_unchanged).select(_UNCHANGED_COLUMNS),
        cohorts=cohorts_of(planned, size),
        problems=(*(problem for user in fleet.users for problem in user.problems), *fleet.problems),
        notes=tuple(reading_notes(fleet.users, fleet.unknown_columns, fleet.notes)),
    )


def cohorts_of(users: Sequence[UserPlan], size: CohortSize, done: Collection[str] = ()) -> tuple[tuple[int, ...], ...]:
    """Pack the users to train into cohorts (see `pack_cohorts`) of indices into `users`, but for the keys `done`."""
    to_train = [number for number, user in enumerate(users) if user.to_train and user.user_key not in done]
    packed = pack_cohorts([users[number].speech_s for number in to_train], size)
    return tuple(tuple(to_train[number] for number in cohort) for cohort in packed)


def plan_table(plan: Plan) -> "pa.Table":
    """The plan as a table, for the run's folder, the unchanged users last. It holds user keys, no ids."""
    import pyarrow as pa

    cohort_of = {user: number for number, cohort in enumerate(plan.cohorts) for user in cohort}
    columns: dict[str, pa.Array] = {
        "user_key": pa.array([user.user_key for user in plan.users], pa.string()),
        "change": pa.array([user.change.value for user in plan.users], pa.string()),
        "num_utterances": pa.array([user.num_utterances for user in plan.users], pa.int32()),
        "num_dropped": pa.array([user.num_dropped for user in plan.users], pa.int32()),
        "speech_s": pa.array([user.speech_s for user in plan.users], pa.float64()),
        "fingerprint": pa.array([user.fingerprint for user in plan.users], pa.string()),
        "cohort": pa.array([cohort_of.get(number) for number in range(len(plan.users))], pa.int32()),
    }
    first = pa.table(columns)
    num_unchanged = plan.unchanged.num_rows
    rest = plan.unchanged.append_column("change", pa.repeat(pa.scalar(Change.unchanged.value), num_unchanged))
    rest = rest.append_column("cohort", pa.nulls(num_unchanged, pa.int32()))
    return pa.concat_tables([first, rest.select(first.column_names)])


def _everyone(fleet: Fleet, fingerprints: Sequence[str], data: DataConfig) -> "pa.Table":
    """All users by key. `place` counts the users whose manifests were read, and then the rows of the table."""
    import pyarrow as pa

    users, sealed = fleet.users, fleet.table.rows
    user_ids = [*(user.user_id for user in users), *sealed["user_id"].to_pylist()]
    speech_s = [math.fsum(utterance.duration_s or 0.0 for utterance in user.utterances) for user in users]
    dropped = [num_dropped(user.problems) for user in users]

    def followed(own: Sequence[float], column: str, column_type: "pa.DataType") -> "pa.ChunkedArray":
        return pa.chunked_array([pa.array(own, column_type), *sealed[column].cast(column_type).chunks])

    columns = {
        "place": pa.array(range(len(user_ids)), pa.int64()),
        "user_key": pa.array(user_keys(user_ids), pa.string()),
        "fingerprint": pa.array(fingerprints, pa.string()),
        "num_utterances": followed(
            [num_expected(user.utterances, data) for user in users], "num_utterances", pa.int32()
        ),
        "num_dropped": pa.array([*dropped, *[0] * sealed.num_rows], pa.int32()),
        "speech_s": followed(speech_s, "speech_s", pa.float64()),
    }
    return pa.table(columns).sort_by("user_key")


def _known(index: "pa.Table", adapt: AdaptConfig, pipeline: str, now_s: float) -> "pa.Table":
    """The index with columns version, unusable and due: whether who is unusable is to be tried again."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = {"version": pa.string(), "pipeline": pa.string(), "tried_s": pa.float64()}
    for name in [name for name in names if name not in index.column_names]:
        index = index.append_column(name, pa.nulls(len(index), names[name]))
    unusable = pc.fill_null(pc.not_equal(index["pipeline"], ""), False)
    waited = pc.less_equal(index["tried_s"], now_s - 3600 * adapt.retry_unusable_after_h)
    passed = pc.fill_null(waited, False) if adapt.retry_unusable_after_h else pa.scalar(True)
    due = pc.and_(unusable, pc.or_(passed, pc.fill_null(pc.not_equal(index["pipeline"], pipeline), True)))
    version = pc.fill_null(index["version"], "")
    columns = [index["user_key"], index["fingerprint"], version, unusable, due]
    return pa.table(columns, names=["user_key", "fingerprint", "version", "unusable", "due"])


def _with_changes(everyone: "pa.Table", known: "pa.Table", adapt: AdaptConfig, data: DataConfig) -> "pa.Table":
    """Add the columns `change`, `version` and `unusable`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    place = pc.index_in(everyone["user_key"], value_set=known["user_key"].combine_chunks())

    def of_index(name: str, without: object) -> "pa.Array":
        return pc.fill_null(known[name].combine_chunks().take(place), without)

    same = pc.equal(pc.fill_null(known["fingerprint"].combine_chunks().take(place), ""), everyone["fingerprint"])
    same = pc.and_(same, pc.invert(of_index("due", False)))
    few = pc.less(everyone["num_utterances"], adapt.min_utterances)
    if data.segment_long:  # of a sealed user nothing but the sums is known: some may be long
        most_s = pc.multiply(everyone["num_utterances"], data.max_duration_s)
        few = pc.and_(few, pc.less_equal(everyone["speech_s"], most_s))
    rules = {
        Change.skipped: few,
        Change.new: pc.is_null(place),
        Change.changed: pc.invert(same) if not adapt.force else pc.is_valid(place),
    }
    conditions = pa.StructArray.from_arrays(
        [rule.combine_chunks() for rule in rules.values()], names=[change.value for change in rules]
    )
    change = pc.case_when(conditions, *(change.value for change in rules), Change.unchanged.value)
    everyone = everyone.append_column("change", change).append_column("version", of_index("version", ""))
    return everyone.append_column("unusable", of_index("unusable", False))


def _planned(todo: "pa.Table", fleet: Fleet) -> list[UserPlan]:
    """Rows of `_everyone` as objects."""
    import pyarrow.compute as pc

    num_read = len(fleet.users)
    places = todo["place"].filter(pc.greater_equal(todo["place"], num_read))
    rows = iter(user_rows(fleet.table.rows.take(pc.subtract(places, num_read)), fleet.table.uri))
    planned = []
    for cells in todo.drop_columns(["version", "unusable"]).to_pylist():
        place = cells.pop("place")
        cells["change"] = Change(cells["change"])
        if place >= num_read:
            row = next(rows)
            planned.append(UserPlan(**cells, user_id=row.user_id, utterances=(), reasons={}, row=row))
            continue
        user = fleet.users[place]
        reasons = reasons_of(user.problems)
        planned.append(UserPlan(**cells, user_id=user.user_id, utterances=tuple(user.utterances), reasons=reasons))
    return planned
