"""Marks of runs that have begun and not come to their end, and the users whom such a run was to train."""

import re
from dataclasses import dataclass

from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store.layout import plan_uri, run_mark_uri, run_marks_uri
from ds2ray.store.records import read_record, write_record
from ds2ray.store.recovery.aside import set_aside
from ds2ray.store.store import Store

KIND = "run under way"
"""What the mark of a run says that it is."""

_SUFFIX = ".json"
_TO_TRAIN = ("new", "changed")  # of a plan


_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=@+-]*").fullmatch
_MAX_LENGTH = 100


def why_no_run_id(run_id: str) -> str:
    """Why a run cannot have this id, which names its folder and its mark; empty where it can."""
    if len(run_id) > _MAX_LENGTH:
        return f"{len(run_id)} characters, and {_MAX_LENGTH} are allowed"
    if not _RUN_ID(run_id):
        return "it names a folder of the store: letters from A to Z, digits and . _ = @ + - are allowed, no . in front"
    return ""


@dataclass(frozen=True, kw_only=True)
class _Mark:
    run_id: str
    order: int


@dataclass(frozen=True)
class RunMark:
    """The mark of a run.

    Attributes:
        order: in which runs have begun, from 1; that of a damaged mark is 0.
        damage: what is wrong with it; empty where nothing is.
    """

    run_id: str
    order: int
    uri: str
    damage: str = ""


def mark_run(store: Store, run_id: str, order: int) -> None:
    """Write the mark of a run."""
    write_record(store, run_mark_uri(store, run_id), KIND, _Mark(run_id=run_id, order=order))


def run_marks(store: Store) -> list[RunMark]:
    """The marks of all runs, also of such whose id has slashes, as earlier releases let it have.

    A damaged one has the id that its file is named by.
    """
    folder = run_marks_uri(store)
    marks = []
    for info in store.list_objects(folder, recursive=True):
        named = info.uri.removeprefix(folder).lstrip("/").removesuffix(_SUFFIX)
        try:
            mark = read_record(store, _Mark, info.uri, kind=KIND, bound={"run_id": named}, remedy="delete it")
        except FileNotFoundError:
            continue
        except ArtifactCorruptError as error:
            marks.append(RunMark(named, 0, info.uri, str(error)))
        else:
            marks.append(RunMark(mark.run_id, mark.order, info.uri))
    return marks


@dataclass(frozen=True)
class PlannedUser:
    """A user whom a run was to train, with the usable utterances that the plan knew of, and those left out."""

    num_utterances: int = 0
    num_dropped: int = 0


def planned_users(store: Store, run_id: str, aside: list[str]) -> dict[str, PlannedUser]:
    """The users whom a run was to train, by key; none where it has no plan.

    Args:
        aside: a line on a plan that is damaged and set aside is added to it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    uri = plan_uri(store, run_id)
    try:
        plan = store.read_table(uri)
        to_train = pc.is_in(plan["change"], value_set=pa.array(_TO_TRAIN))
        rows = plan.filter(to_train).to_pylist()
        return {
            row["user_key"]: PlannedUser(row.get("num_utterances") or 0, row.get("num_dropped") or 0) for row in rows
        }
    except FileNotFoundError:
        return {}
    except (ArtifactCorruptError, InputError, KeyError, pa.ArrowException) as error:
        aside.append(set_aside(store, uri, f"{uri}: not a plan: {error}"))
        return {}
