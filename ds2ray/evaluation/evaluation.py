"""An evaluation: everything that is found out about systems on the utterances of a manifest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ds2ray.chance import CHANCE
from ds2ray.evaluation.figures import Compared, Group, Verdict, group_of
from ds2ray.evaluation.groups import EMPTY, USER, grouped
from ds2ray.evaluation.judged import Judged
from ds2ray.evaluation.reliability import Reliability
from ds2ray.evaluation.words import Confusion, Misheard, confusions, worst

NOBODY = "–"
"""How a report names utterances whose cell is empty."""


@dataclass(frozen=True)
class System:
    """A way to recognise speech that is evaluated.

    Attributes:
        name: short, for tables.
        description: what it is made of.
        speed: seconds of audio that it recognised in a second; 0 where it was not timed.
    """

    name: str
    description: str
    speed: float = 0.0


@dataclass(frozen=True)
class Breakdown:
    """The groups of a column."""

    column: str
    groups: list[Group]


@dataclass(frozen=True)
class Users:
    """How many users are better and worse off with one system than with another.

    Attributes:
        better, worse: beyond chance.
        fewer, more: with fewer or more errors, by chance or not.
        by_chance: users of whom chance alone would show so many on either side.
    """

    better: int
    unclear: int
    worse: int
    fewer: int
    more: int
    by_chance: float


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        manifest: URI of the utterances.
        pairs: of systems that are compared, before and after; the first is what plots and tables show.
        breakdowns: by column, the users' first.
        worst, confusions: of the system that is shown last.
        others: every adapter on the speech of other people: groups by the adapter's user.
        minutes: of speech that each user's adapter learnt from, where that is known.
        notes: what was left out, or read otherwise than it was written.
        reliability: of the confidence of words, by system; those whose words have none are left out.
    """

    manifest: str
    systems: list[System]
    pairs: list[tuple[str, str]]
    total: Group
    breakdowns: list[Breakdown]
    worst: list[Misheard]
    confusions: list[Confusion]
    others: tuple[Group, Breakdown] | None = None
    minutes: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reliability: dict[str, Reliability] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The system that matters most: the one after the first pair's, or the only one."""
        return self.pairs[0][1] if self.pairs else self.systems[0].name

    @property
    def by_user(self) -> Breakdown:
        """The groups of users."""
        return next(breakdown for breakdown in self.breakdowns if breakdown.column == USER)


def evaluate(
    manifest: str,
    rows: Sequence[Judged],
    systems: Sequence[System],
    pairs: Sequence[tuple[str, str]],
    columns: Sequence[str],
    *,
    others: Sequence[Judged] = (),
    minutes: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
    reliability: Mapping[str, Reliability] | None = None,
) -> Evaluation:
    """The evaluation of at least one utterance that all systems recognised.

    Args:
        pairs: names of systems, before and after.
        columns: by which utterances are grouped; users are always told apart.
        others: utterances of other people as each adapter recognises them, with the adapter's user for theirs; by the
            systems of the pair that tells what an adapter changes.
        minutes: of speech, by user.
        reliability: of the confidence of words, by system.
    """
    names = [system.name for system in systems]
    shown = pairs[0][1] if pairs else names[0]
    return Evaluation(
        manifest=manifest,
        systems=list(systems),
        pairs=list(pairs),
        total=group_of("all", rows, names, pairs),
        breakdowns=[breakdown(rows, column, names, pairs) for column in dict.fromkeys((USER, *columns))],
        worst=worst(rows, shown),
        confusions=confusions(rows, shown),
        others=_others(others) if others else None,
        minutes=dict(minutes or {}),
        notes=list(notes),
        reliability=dict(reliability or {}),
    )


def breakdown(
    rows: Sequence[Judged], column: str, systems: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> Breakdown:
    """The figures of each group of a column."""
    groups = grouped(rows, column)
    return Breakdown(column, [group_of(name, members, systems, pairs) for name, members in groups.items()])


def users_of(evaluation: Evaluation, place: int = 0) -> Users:
    """The users of an evaluation by what became of their words' errors.

    Args:
        place: of the pair of systems that are compared.
    """
    groups = [group for group in evaluation.by_user.groups if group.name != EMPTY]
    differences = [group.compared[place].wer for group in groups]
    verdicts = Counter(difference.verdict for difference in differences)
    tested = sum(difference.interval is not None for difference in differences)
    return Users(
        better=verdicts[Verdict.better],
        unclear=verdicts[Verdict.unclear],
        worse=verdicts[Verdict.worse],
        fewer=sum(difference.rate < 0 for difference in differences),
        more=sum(difference.rate > 0 for difference in differences),
        by_chance=tested * CHANCE / 2,
    )


def first(group: Group) -> Compared | None:
    """The comparison that matters most; None where there is only one system."""
    return group.compared[0] if group.compared else None


def _others(rows: Sequence[Judged]) -> tuple[Group, Breakdown]:
    names = list(rows[0].scores)
    pairs = [(names[0], names[1])]
    return group_of("all", rows, names, pairs), breakdown(rows, USER, names, pairs)
