"""Problems of tables' rows: where, what, why and what to do; and their counts by cause."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ds2ray.config import BadRows, DataConfig
from ds2ray.errors import InputError
from ds2ray.store.keys import is_private, private, user_key, why_no_key
from ds2ray.tables.formats import PARQUET, table_format

_SHOWN_CHARACTERS = 60  # of a value, in a message
_WITHHELD = "…"
_SHOWN_PROBLEMS = 50
UNREADABLE = "manifest"
"""The column of a users table whose problem is that the manifest as a whole cannot be read."""


class ProblemKind(Enum):
    """The kinds of problems that the configured policies tell apart."""

    row = "row"  # cells of the table: missing, malformed, used twice
    audio = "audio"  # the file, its length, its sound
    transcript = "transcript"  # unknown characters, too long for its audio, empty


@dataclass(frozen=True)
class Problem:
    """Why a row cannot be used."""

    manifest_uri: str
    line: int  # physical line of the file where the row starts (Parquet: number of the row), from 1
    kind: ProblemKind
    column: str  # empty: the row as a whole
    value: str  # shortened
    reason: str
    remedy: str
    utterance_id: str = ""
    user_id: str = ""

    def __str__(self) -> str:
        """One line: where, what, why, and what to do. With a salt nothing of it says who the user is."""
        if is_private():
            whose = f" of user {_key(self.user_id)}" if self.user_id else ""
            return f"line {self.line} of a table{whose}: {self.column} {private(self.reason)}; {self.remedy}"
        place = f"{self.manifest_uri} row {self.line}" if table_format(self.manifest_uri) == PARQUET else ""
        ids = {"id": self.utterance_id, "user": self.user_id}
        named = [f"{name}={_shown_id(value)}" for name, value in ids.items() if value]
        subject = f"{self.column}={self.value}" if self.column else self.value
        text = " ".join([(place or f"{self.manifest_uri}:{self.line}") + ":", *named, f"{subject}: {self.reason}"])
        line = "; ".join(filter(None, [text.replace("\n", " "), self.remedy]))
        return line.encode(errors="backslashreplace").decode()  # names of files may hold halves of letters


def named(utterance_id: str, line: int) -> str:
    """An utterance as logs name it: by its id, or with a salt, as ids may say who speaks, by its line."""
    return f"line {line}" if is_private() else f"utterance {utterance_id}"


def _key(user_id: str) -> str:
    return _WITHHELD if why_no_key(user_id) else user_key(user_id)


def shown(value: object) -> str:
    """A value as a message shows it: on one line and not too long."""
    text = f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _shown_id(value: str) -> str:
    return value if value.isprintable() and len(value) <= _SHOWN_CHARACTERS else shown(value)


def cause(problem: Problem) -> str:
    """The cause that a problem shares with others of its kind: the column and the reason without its particulars."""
    reason = problem.reason
    for mark in (":", "(", ";"):
        reason = reason.partition(mark)[0]
    return f"{problem.column} {reason}".strip()


def num_dropped(problems: Iterable[Problem]) -> int:
    """Rows that these problems leave out."""
    return len({(problem.manifest_uri, problem.line) for problem in problems})


def reasons_of(problems: Iterable[Problem]) -> dict[str, int]:
    """Problems by cause."""
    return dict(Counter(map(cause, problems)))


def is_unreadable(reasons: Mapping[str, int]) -> bool:
    """Whether it is the manifest as a whole that cannot be read, by the causes of `reasons_of`."""
    return any(name.partition(" ")[0] == UNREADABLE for name in reasons)


def listed(reasons: Mapping[str, int]) -> str:
    """`2 × audio is empty; 1 × …`"""
    return "; ".join(f"{count} × {name}" for name, count in reasons.items())


def require_rows(num_usable: int, problems: Sequence[Problem], data: DataConfig, uri: str) -> None:
    """Refuse a table of which nothing is left: an export that failed looks like that.

    Args:
        num_usable: rows, or what they are about.
        problems: of the other rows, which may be left out.

    Raises:
        InputError: there is no row and `data.allow_empty` is false, or none that can be used.
    """
    if num_usable:
        return
    if problems:
        raise InputError(f"{uri}: none of its {num_dropped(problems)} rows can be used, as in {problems[0]}")
    if not data.allow_empty:
        raise InputError(f"{uri}: the table has no rows; write it again, or set data.allow_empty=true if that is meant")


def refuse(problems: Iterable[Problem], data: DataConfig, uri: str) -> None:
    """Raise one error that lists the problems which the policies do not allow to be left out.

    Raises:
        InputError: there are such problems.
    """
    policies = {
        ProblemKind.row: ("data.bad_rows", data.bad_rows),
        ProblemKind.audio: ("data.bad_audio", data.bad_audio),
        ProblemKind.transcript: ("data.bad_audio", data.bad_audio),
    }
    refused = [problem for problem in problems if policies[problem.kind][1] is BadRows.refuse]
    if not refused:
        return
    lines = [f"  {problem}" for problem in refused[:_SHOWN_PROBLEMS]]
    if len(refused) > _SHOWN_PROBLEMS:
        lines.append(f"  … and {len(refused) - _SHOWN_PROBLEMS} more")
    settings = " and ".join(sorted({f"{policies[problem.kind][0]}=drop" for problem in refused}))
    rows = "row" if len(refused) == 1 else "rows"
    text = f"{uri}: {len(refused)} {rows} cannot be used ({settings} would leave them out):"
    raise InputError("\n".join([text, *lines]))
