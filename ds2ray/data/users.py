"""The users of a fleet and their utterances: a table `user_id,manifest`, or one manifest with a user_id column."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ds2ray import storage
from ds2ray.config import AudioConfig, DataConfig
from ds2ray.data.manifest import COLUMNS, Manifest, Utterance, manifest_of, read_manifest
from ds2ray.data.rows import Problem, ProblemKind, RowTable, read_rows, shown
from ds2ray.data.validation import refuse, validate_many
from ds2ray.errors import InputError
from ds2ray.storage import ObjectInfo
from ds2ray.text import Vocabulary

_THREADS = 16  # manifests that are being read at once


@dataclass(frozen=True)
class UserRow:
    """A row of a users table."""

    user_id: str
    manifest_uri: str  # absolute
    line: int


@dataclass
class UserData:
    """A user's utterances, and what of them cannot be used."""

    user_id: str
    utterances: list[Utterance]
    problems: list[Problem] = field(default_factory=list)
    manifest_uri: str = ""
    conversions: dict[str, int] = field(default_factory=dict)  # utterances by what is converted (see validate)
    dropped_characters: dict[str, int] = field(default_factory=dict)  # utterances by what is left out of them
    unknown_columns: list[str] = field(default_factory=list)  # of the user's manifest, ignored


def read_users(uri: str, data: DataConfig) -> tuple[list[UserData], list[Problem]]:
    """Read a fleet's table and the manifests that it names (URIs relative to the table).

    What is wrong with one user's manifest, up to being missing or unreadable, is a problem of that user alone.

    Returns:
        The users in the order of the table, and the problems of rows that belong to no user, where `data.bad_rows`
        lets these be left out.

    Raises:
        InputError: the table is missing or lacks columns, or, in one message, all its rows that are refused.
        StorageError: the store cannot be reached or refuses the credentials.
    """
    table = read_rows(uri, {*COLUMNS, "manifest"})
    if "audio" in table.columns and "manifest" not in table.columns:
        table.require(("user_id", "audio", "transcript"))
        users, problems = _users_of_manifest(manifest_of(table))
        refuse([*problems, *(problem for user in users for problem in user.problems)], data, uri)
        return users, problems
    table.require(("user_id", "manifest"))
    rows = _user_rows(table)
    refuse(table.problems, data, uri)
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            return list(pool.map(lambda row: _read_user(row, uri), rows)), table.problems
        except BaseException:
            pool.shutdown(cancel_futures=True)  # a store that does not answer is not asked for all the others
            raise


def usable_users(
    users: Sequence[UserData],
    *,
    data: DataConfig,
    audio: AudioConfig,
    vocabulary: Vocabulary | None,
    objects: Mapping[str, ObjectInfo | None] | None = None,
) -> list[UserData]:
    """`validate` for every user, with the audio of all of them looked at together."""
    manifests = [
        Manifest(
            user.manifest_uri,
            user.utterances,
            user.problems,
            user.unknown_columns,
            conversions=user.conversions,
            dropped_characters=user.dropped_characters,
        )
        for user in users
    ]
    checked = validate_many(manifests, data=data, audio=audio, vocabulary=vocabulary, objects=objects)
    return [_user_data(user.user_id, manifest) for user, manifest in zip(users, checked, strict=True)]


def _user_data(user_id: str, manifest: Manifest) -> UserData:
    m = manifest
    return UserData(user_id, m.utterances, m.problems, m.uri, m.conversions, m.dropped_characters, m.unknown_columns)


def _users_of_manifest(manifest: Manifest) -> tuple[list[UserData], list[Problem]]:
    """Divide a manifest by its user_id column."""
    users: dict[str, UserData] = {}
    nobodys: list[Problem] = []
    rows: list[Utterance | Problem] = [*manifest.utterances, *manifest.problems]
    for row in sorted(rows, key=lambda row: row.line):
        if not row.user_id:
            if isinstance(row, Utterance):
                row = _row_problem(manifest.uri, row.line, "user_id", "", "no user is named", "name the speaker")
            nobodys.append(row)
            continue
        user = users.setdefault(
            row.user_id, UserData(row.user_id, [], manifest_uri=manifest.uri, unknown_columns=manifest.unknown_columns)
        )
        if isinstance(row, Utterance):
            user.utterances.append(row)
        else:
            user.problems.append(row)
    return list(users.values()), nobodys


def _user_rows(table: RowTable) -> list[UserRow]:
    """The good rows of a users table; the others become its problems."""
    rows: dict[str, UserRow] = {}
    for row in table.rows:
        cells = {name: row.cells.get(name, "") for name in ("user_id", "manifest")}
        if isinstance(cells["user_id"], int) and not isinstance(cells["user_id"], bool):
            cells["user_id"] = str(cells["user_id"])
        bad = next((name for name, value in cells.items() if not isinstance(value, str) or not value.strip()), None)
        user_id = str(cells["user_id"]).strip()
        if bad:
            reason, remedy = "no text is given", "give the user's id and the URI of a manifest"
            table.problems.append(_row_problem(table.uri, row.line, bad, cells[bad], reason, remedy, user_id))
        elif user_id in rows:
            reason = f"the user is already in line {rows[user_id].line}"
            remedy = "give every user one row and one manifest"
            table.problems.append(_row_problem(table.uri, row.line, "user_id", user_id, reason, remedy, user_id))
        else:
            rows[user_id] = UserRow(user_id, storage.resolve(cells["manifest"].strip(), table.uri), row.line)
    table.problems.sort(key=lambda problem: problem.line)
    return list(rows.values())


def _read_user(row: UserRow, table_uri: str) -> UserData:
    try:
        manifest = read_manifest(row.manifest_uri)
    except InputError as error:
        reason = str(error).removeprefix(f"{row.manifest_uri}: ")
        remedy = "correct the path or the file"
        uri = row.manifest_uri
        problem = _row_problem(table_uri, row.line, "manifest", uri, reason, remedy, row.user_id)
        return UserData(row.user_id, [], [replace(problem, value=uri)], uri)
    own = []
    problems = [replace(problem, user_id=row.user_id) for problem in manifest.problems]
    for utterance in manifest.utterances:
        if utterance.user_id in ("", row.user_id):
            own.append(replace(utterance, user_id=row.user_id))
            continue
        reason = f"the utterance is another user's; {table_uri}:{row.line} says {row.user_id}"
        place = (row.manifest_uri, utterance.line, "user_id", utterance.user_id)
        problem = _row_problem(*place, reason, "correct the user_id or move the row", row.user_id)
        problems.append(replace(problem, utterance_id=utterance.utterance_id))
    return _user_data(row.user_id, replace(manifest, utterances=own, problems=problems))


def _row_problem(
    uri: str, line: int, column: str, value: object, reason: str, remedy: str, user_id: str = ""
) -> Problem:
    return Problem(uri, line, ProblemKind.row, column, shown(value), reason, remedy, user_id=user_id)
