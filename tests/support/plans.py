"""Plans of small fleets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from ds2ray.config import AdaptConfig, AdapterConfig, DataConfig
from ds2ray.fleet.cohorts import Room, cohort_size
from ds2ray.fleet.plan import Plan, plan_run, plan_table
from ds2ray.storage import ObjectInfo
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.tables.users import Fleet
from ds2ray.tables.users_table import UserTable, no_users


def utterance(number: int, user_id: str = "john", duration_s: float = 2.0, **changes: Any) -> Utterance:
    known = Utterance(f"u{number}", user_id, f"/audio/{user_id}/u{number}.wav", duration_s, f"words {number}", number)
    return replace(known, **changes)


def user(
    user_id: str, num_utterances: int = 4, duration_s: float = 2.0, problems: list[Problem] | None = None
) -> Manifest:
    utterances = [utterance(number, user_id, duration_s) for number in range(num_utterances)]
    return Manifest("", utterances, problems or [], user_id=user_id)


def infos_of(users: list[Manifest]) -> dict[str, ObjectInfo | None]:
    uris = [str(utterance.audio) for user in users for utterance in user.utterances]
    return {uri: ObjectInfo(uri, 100, f"tag of {uri}") for uri in uris}


def problem(line: int, reason: str = "there is no such file", user_id: str = "john", column: str = "audio") -> Problem:
    return Problem("/john.csv", line, ProblemKind.audio, column, "'x.wav'", reason, "mend it", user_id=user_id)


def sealed_table(versions: dict[str, str], num_utterances: int = 4, speech_s: float = 8.0) -> UserTable:
    """Rows that say nothing of users but a version."""
    empty = no_users("/fleet/users.parquet")
    rows = [
        {
            "user_id": user_id,
            "manifest": f"packed/{user_id}.parquet",
            "version": version,
            "speech_s": speech_s,
            "num_utterances": num_utterances,
            "line": line,
        }
        for line, (user_id, version) in enumerate(versions.items(), start=1)
    ]
    return replace(empty, rows=pa.Table.from_pylist(rows, empty.rows.schema))


def make_plan(
    users: Sequence[Manifest] = (),
    index: dict[str, str] | None = None,
    adapt: AdaptConfig | None = None,
    table: UserTable | None = None,
    min_cohorts: int = 1,
    **more: Any,
) -> Plan:
    """A plan of users whose manifests were read and of sealed ones, with an index `user key → fingerprint`."""
    arguments: dict[str, Any] = {
        "base_fingerprint": "b" * 64,
        "adapter": AdapterConfig(),
        "adapt": adapt or AdaptConfig(),
        "data": DataConfig(),
        "size": cohort_size(adapt or AdaptConfig(), Room(trials=min_cohorts)),
    } | more
    known = index or {}
    columns = [pa.array(column, pa.string()) for column in (known.keys(), known.values())]
    fleet = Fleet(list(users), table or no_users("users.csv"), [])
    return plan_run(fleet, pa.table(columns, names=["user_key", "fingerprint"]), infos_of(list(users)), **arguments)


def index_of(plan: Plan) -> dict[str, str]:
    """The index after a run in which every user of the plan was adapted."""
    columns = plan_table(plan)
    return dict(zip(columns["user_key"].to_pylist(), columns["fingerprint"].to_pylist(), strict=True))


def changes(plan: Plan) -> dict[str, str]:
    columns = plan_table(plan)
    return dict(zip(columns["user_key"].to_pylist(), columns["change"].to_pylist(), strict=True))
