"""The users of a fleet and their utterances: a table `user_id,manifest`, or one manifest with a user_id column."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from ds2ray import storage
from ds2ray.config import DataConfig
from ds2ray.progress import Tell, untold
from ds2ray.shapes.shape import Shape
from ds2ray.storage import AddressFault, ObjectInfo
from ds2ray.storage.reach import ALLOW, allowed
from ds2ray.store.keys import why_no_key
from ds2ray.tables.columns import plain_name
from ds2ray.tables.manifest import READ_COLUMNS, Manifest, Utterance, manifest_of, read_manifest
from ds2ray.tables.problems import UNREADABLE, Problem, ProblemKind, refuse, require_rows, shown
from ds2ray.tables.rows import read_rows
from ds2ray.tables.users_table import USER_COLUMNS, WORDS, UserRow, UserTable, no_users, user_rows, user_table
from ds2ray.tables.validation import validate_many
from ds2ray.text import Vocabulary

T = TypeVar("T")

_THREADS = 16  # manifests that are being read at once
_TYPICAL_SEGMENT_S = 5.0
_BLOCK_USERS = 256  # whose audio is looked at before it is told how far it is
_BLOCK_OBJECTS = 10_000  # audio files that are looked for before it is told how far it is


@dataclass(frozen=True)
class Fleet:
    """Everyone whom a table names.

    Attributes:
        users: whose manifests were read.
        table: the rows of the others, which are sealed: their manifests are read where they are trained.
        problems: of rows that belong to no user, where `data.bad_rows` lets these be left out.
        unknown_columns: of the table, ignored.
        notes: what else of the table was read in a way that deserves to be told.
    """

    users: list[Manifest]
    table: UserTable
    problems: list[Problem]
    unknown_columns: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)


def read_fleet(uri: str, data: DataConfig, tell: Tell = untold) -> Fleet:
    """Read a fleet's table, and the manifests of the rows that are not sealed (URIs relative to the table).

    What is wrong with one user's manifest, up to being missing or unreadable, is a problem of that user alone.

    Raises:
        InputError: the table is missing, lacks columns, has no row where `data.allow_empty` is false, or none that can
            be used; or, in one message, all its rows that are refused.
        StorageError: the store cannot be reached or refuses the credentials.
    """
    table = read_rows(uri, {*READ_COLUMNS, *USER_COLUMNS}, data.encoding)
    if "audio" in table.columns and "manifest" not in table.columns:
        table.require(("user_id", "audio", "transcript"))
        users, problems = _users_of_manifest(manifest_of(table))
        refuse([*problems, *(problem for user in users for problem in user.problems)], data, uri)
        require_rows(len(users), problems, data, uri)
        return Fleet(users, no_users(uri), problems, notes=dict(table.notes))
    table.require(("user_id", "manifest"))
    written = table.written.get("transcript", "")
    if plain_name(written) == WORDS:  # own words; in manifests of others that is the transcript
        del table.notes[f"tables whose column {written!r} is read as transcript"]
        table.columns.remove("transcript")
    if "version" in table.columns:
        table.require(("speech_s", "num_utterances"))
    rows = user_table(table)
    refuse(rows.problems, data, uri)
    require_rows(rows.rows.num_rows, rows.problems, data, uri)
    users = read_manifests(user_rows(rows.unsealed(), uri), data, tell)
    return Fleet(users, replace(rows, rows=rows.sealed()), rows.problems, rows.unknown_columns, dict(table.notes))


def read_users(uri: str, data: DataConfig) -> tuple[list[Manifest], list[Problem]]:
    """The users of a fleet with the manifests of all of them, and the problems of rows that belong to no user.

    Raises as `read_fleet` does.
    """
    fleet = read_fleet(uri, data)
    return [*fleet.users, *read_manifests(user_rows(fleet.table.rows, uri), data)], fleet.problems


def stat_audio(
    users: Sequence[Manifest], tell: Tell = untold, data: DataConfig | None = None
) -> dict[str, ObjectInfo | None]:
    """Size and date of all files of audio that these users' utterances name; None where one is missing.

    Those that `data` does not allow are not asked for.
    """
    folders: defaultdict[str, set[str]] = defaultdict(set)
    for user in users:
        for uri in allowed((u.audio for u in user.utterances), user.uri, data or DataConfig()):
            folders[storage.parent(uri)].add(uri)
    total = sum(map(len, folders.values()))
    found: dict[str, ObjectInfo | None] = {}
    wanted: list[str] = []
    # whole folders together: the store lists a folder of which many objects are wanted
    for uris in folders.values():
        wanted += sorted(uris)
        if len(wanted) >= _BLOCK_OBJECTS:
            found.update(storage.stat_many(wanted, each_alone=True))
            wanted = []
            tell(f"{len(found)} of {total} audio files looked for")
    found.update(storage.stat_many(wanted, each_alone=True))
    return found


def usable_users(
    users: Sequence[Manifest],
    *,
    data: DataConfig,
    shape: Shape,
    vocabulary: Vocabulary | None,
    objects: Mapping[str, ObjectInfo | None] | None = None,
    tell: Tell = untold,
) -> list[Manifest]:
    """`validate` for every user, with the audio of many of them looked at together.

    Args:
        shape: of the base, which cuts long audio where `data.segment_long` says so; it says how it hears, and how long
            a transcript may be for its audio.
    """
    checked: list[Manifest] = []
    for start in range(0, len(users), _BLOCK_USERS):
        checked += validate_many(
            users[start : start + _BLOCK_USERS],
            data=data,
            audio=shape.audio,
            vocabulary=vocabulary,
            objects=objects,
            encoding_frames=shape.encoding_frames,
            has_aligner=True,
        )
        tell(f"audio of {len(checked)} of {len(users)} users looked at")
    return checked


def num_expected(utterances: Iterable[Utterance], data: DataConfig) -> int:
    """Usable utterances, each long one counted as the segments that may become of it."""
    if not data.segment_long:
        return len(list(utterances))
    long_s = [u.duration_s if u.duration_s and u.duration_s > data.max_duration_s else 0.0 for u in utterances]
    return sum(max(1, round(duration_s / _TYPICAL_SEGMENT_S)) for duration_s in long_s)


def read_user(row: UserRow, data: DataConfig) -> Manifest | AddressFault:
    """The manifest that a row names, or why it cannot be read; rows that belong to another user are problems.

    Whom another program calls the speaker is no user of ours: then the row of the table counts alone.

    Raises:
        StorageError: the server fails that the store lies on.
    """
    refused = storage.why_refused(row.manifest_uri, row.table_uri, data, in_any_root=True)
    if refused:
        return AddressFault(f"{refused}; {ALLOW}")
    return storage.asked(row.manifest_uri, lambda: _own_manifest(row, data.encoding))


def _own_manifest(row: UserRow, encoding: str) -> Manifest:
    manifest = read_manifest(row.manifest_uri, encoding=encoding)
    own = []
    problems = [replace(problem, user_id=row.user_id) for problem in manifest.problems]
    for utterance in manifest.utterances:
        if utterance.user_id in ("", row.user_id) or not manifest.names_users:
            own.append(replace(utterance, user_id=row.user_id))
            continue
        reason = f"the utterance is another user's; {row.table_uri}:{row.line} says {row.user_id}"
        place = (row.manifest_uri, utterance.line, "user_id", utterance.user_id)
        problem = _row_problem(*place, reason, "correct the user_id or move the row", row.user_id)
        problems.append(replace(problem, utterance_id=utterance.utterance_id))
    return replace(manifest, utterances=own, problems=problems, user_id=row.user_id)


def at_once(function: Callable[[UserRow], T], rows: Sequence[UserRow]) -> Iterator[T]:
    """The function's result for each row, in their order, several computed at a time."""
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            yield from pool.map(function, rows)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # a store that does not answer is not asked for all the others
            raise


def read_manifests(rows: Sequence[UserRow], data: DataConfig, tell: Tell = untold) -> list[Manifest]:
    """The manifests that these rows name; one that is missing or unreadable is a problem of its user."""
    users = []
    for user in at_once(partial(_user_or_problem, data=data), rows):
        users.append(user)
        tell(f"{len(users)} of {len(rows)} manifests read")
    return users


def _user_or_problem(row: UserRow, data: DataConfig) -> Manifest:
    found, uri = read_user(row, data), row.manifest_uri
    if isinstance(found, Manifest):
        return found
    remedy = "correct the path or the file"
    problem = _row_problem(row.table_uri, row.line, UNREADABLE, uri, found.reason, remedy, row.user_id)
    return Manifest(uri, [], [replace(problem, value=uri)], user_id=row.user_id)


def _users_of_manifest(manifest: Manifest) -> tuple[list[Manifest], list[Problem]]:
    """Divide a manifest by its user_id column."""
    users: dict[str, Manifest] = {}
    nobodys: list[Problem] = []
    reasons: dict[str, str] = {}  # why there can be no such user
    rows: list[Utterance | Problem] = [*manifest.utterances, *manifest.problems]
    for row in sorted(rows, key=lambda row: row.line):
        if not row.user_id:
            if isinstance(row, Utterance):
                row = _row_problem(manifest.uri, row.line, "user_id", "", "no user is named", "name the speaker")
            nobodys.append(row)
            continue
        if row.user_id not in reasons:
            reasons[row.user_id] = why_no_key(row.user_id)
        if reasons[row.user_id]:
            if isinstance(row, Utterance):
                place = (manifest.uri, row.line, "user_id", row.user_id)
                row = _row_problem(*place, reasons[row.user_id], "give the user another id")
            nobodys.append(replace(row, user_id=""))
            continue
        user = users.setdefault(
            row.user_id,
            Manifest(manifest.uri, [], unknown_columns=manifest.unknown_columns, user_id=row.user_id),
        )
        if isinstance(row, Utterance):
            user.utterances.append(row)
        else:
            user.problems.append(row)
    return list(users.values()), nobodys


def _row_problem(
    uri: str, line: int, column: str, value: object, reason: str, remedy: str, user_id: str = ""
) -> Problem:
    return Problem(uri, line, ProblemKind.row, column, shown(value), reason, remedy, user_id=user_id)
