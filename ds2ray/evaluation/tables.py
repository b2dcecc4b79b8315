"""An evaluation on a terminal: a table of the systems, one for each column, and the rest in lines."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ds2ray.chance import CHANCE, RESAMPLES, Interval
from ds2ray.display import visible
from ds2ray.evaluation.evaluation import NOBODY, Breakdown, Evaluation, first, users_of
from ds2ray.evaluation.figures import Difference, Drawn, Figures, Group, Verdict
from ds2ray.evaluation.reliability import Reliability

if TYPE_CHECKING:
    from rich.table import Table

MARKS = {Verdict.better: "⇊", Verdict.unclear: "", Verdict.worse: "⇈"}
MAX_ROWS = 20
"""Groups of a column that a terminal is shown; all of them are in the files."""
MAX_WORDS = 8
WIDE = 110
"""Columns of a terminal that show everything without breaking cells."""


def systems_table(evaluation: Evaluation, width: int) -> "Table":
    """The systems on all utterances."""
    from rich.table import Table

    total, wide = evaluation.total, width >= WIDE
    table = Table(title=f"{counted(total)}, {speech(total.speech_s)} of speech", title_justify="left")
    table.add_column("system")
    numbers = ("substituted", "left out", "put in") if wide else ()
    for heading in ("WER", *numbers, "CER", *(("speed",) if wide else ())):
        table.add_column(heading, justify="right")
    for system in evaluation.systems:
        figures = total.figures[system.name]
        words = figures.score.words
        kinds = [str(count) for count in (words.substitutions, words.deletions, words.insertions)] if wide else []
        fast = [speed(system.speed)] if wide else []
        table.add_row(system.name, wer(figures), *kinds, cer(figures), *fast)
    if total.drawn is not Drawn.nothing:
        table.caption = f"in brackets the {1 - CHANCE:.0%} interval, of a bootstrap over {total.drawn.value}"
    return table


def groups_table(evaluation: Evaluation, breakdown: Breakdown) -> "Table":
    """The groups of a column; of many, those with the highest error rates."""
    from rich.table import Table
    from rich.text import Text

    groups = breakdown.groups
    if len(groups) > MAX_ROWS:
        groups = sorted(groups, key=lambda group: -group.figures[evaluation.shown].score.words.rate())[:MAX_ROWS]
    table = Table(title=f"by {breakdown.column}", title_justify="left")
    notes = (
        [f"the {MAX_ROWS} of {len(breakdown.groups)} with the most errors"]
        if len(groups) < len(breakdown.groups)
        else []
    )
    table.add_column(breakdown.column, overflow="fold")
    for heading in ("utterances", "words", *_headings(evaluation)):
        table.add_column(heading, justify="right")
    for group in groups:
        words = group.figures[evaluation.shown].score.words.reference_length
        name = Text(visible(group.name) or NOBODY)  # plain text: an id may look like markup
        table.add_row(name, str(group.num_utterances), str(words), *_cells(evaluation, group))
    if evaluation.pairs:
        notes.append(f"{MARKS[Verdict.better]} fell, {MARKS[Verdict.worse]} rose beyond chance")
    table.caption = "; ".join(notes)
    return table


def _headings(evaluation: Evaluation) -> list[str]:
    if not evaluation.pairs:
        return ["WER", "CER"]
    before, after = evaluation.pairs[0]
    return [f"WER {before} → {after}", "CER"]


def _cells(evaluation: Evaluation, group: Group) -> list[str]:
    compared = first(group)
    if compared is None:
        score = group.figures[evaluation.shown].score
        return [percent(score.words.rate()), percent(score.characters.rate())]
    before, after = (group.figures[name].score for name in (compared.before, compared.after))
    mark = MARKS[compared.wer.verdict]
    return [
        f"{percent(before.words.rate())} → {percent(after.words.rate())}{' ' if mark else ''}{mark}",
        f"{percent(before.characters.rate())} → {percent(after.characters.rate())}",
    ]


def summary_lines(evaluation: Evaluation) -> Iterator[str]:
    """What a person wants to know of the comparison, of other people's speech and of words, a line each."""
    for place, compared in enumerate(evaluation.total.compared):
        yield f"{compared.before} → {compared.after}: {difference(compared.wer)}"
        yield f"  {users_line(evaluation, place)}"
    for name, each in evaluation.reliability.items():
        yield f"confidence of words, {reliability_text(name, each)}"
    if evaluation.others:
        yield f"on other people's speech: {others_line(*evaluation.others)}"
    if evaluation.confusions:
        listed = ", ".join(
            f"{c.said or NOBODY} → {c.heard or NOBODY} ({c.count})" for c in evaluation.confusions[:MAX_WORDS]
        )
        yield f"words most often wrong: {listed}"


def reliability_text(name: str, found: Reliability) -> str:
    """`adapters: expected calibration error 1.9 % on 240 words`, and whether there is no calibration."""
    text = f"{name}: expected calibration error {percent(found.error)} on {plural(found.num_words, 'word')}"
    return text if found.is_calibrated else f"{text}, not calibrated"


def users_line(evaluation: Evaluation, place: int = 0) -> str:
    """`5 users better, 2 worse, 1 with no clear difference …`"""
    users = users_of(evaluation, place)
    line = f"{plural(users.better, 'user')} better, {users.worse} worse, {users.unclear} with no clear difference"
    if users.by_chance >= 1:
        line += f" (chance alone would make {users.by_chance:.0f} better and as many worse)"
    return f"{line}; {users.fewer} with fewer errors and {users.more} with more, by chance or not"


def others_line(total: Group, breakdown: Breakdown) -> str:
    """The adapters on the speech of other people, in words."""
    compared = total.compared[0]
    before, after = (total.figures[name].score.words.rate() for name in (compared.before, compared.after))
    num_worse = sum(group.compared[0].wer.verdict is Verdict.worse for group in breakdown.groups)
    return (
        f"WER {percent(before)} by the base, {percent(after)} with somebody else's adapter; "
        f"{num_worse} of {plural(len(breakdown.groups), 'adapter')} worse than the base beyond chance"
    )


def difference(found: Difference) -> str:
    """`WER −3.1 points (−4.0 to −2.2, p ≤ 0.001): better`"""
    text = f"WER {points(found.rate)} points"
    if found.interval is None or found.p is None:
        return f"{text}; too few utterances to tell chance apart"
    return f"{text} ({points(found.interval.low)} to {points(found.interval.high)}, p {p_text(found.p)}): " + (
        found.verdict.value
    )


def wer(figures: Figures) -> str:
    """The word error rate with its interval."""
    return rate(figures.score.words.rate(), figures.wer_interval)


def cer(figures: Figures) -> str:
    """The character error rate with its interval."""
    return rate(figures.score.characters.rate(), figures.cer_interval)


def rate(value: float, interval: Interval | None) -> str:
    """`12.3 % (10.1–14.9)`"""
    text = percent(value)
    return text if interval is None else f"{text} ({100 * interval.low:.1f}–{100 * interval.high:.1f})"


def percent(fraction: float) -> str:
    """`12.3 %`"""
    return f"{100 * fraction:.1f} %"


def points(fraction: float) -> str:
    """`−3.1`, with the sign that a reader sees at once."""
    value = round(100 * fraction, 1)
    return "0.0" if value == 0 else f"{value:+.1f}".replace("-", "−")


def p_text(p: float) -> str:
    """`0.03`, or `≤ 0.001` where no fewer draws could show it."""
    if p <= 2 / RESAMPLES:
        return f"≤ {2 / RESAMPLES:g}"
    return f"{p:.3f}" if p < 0.01 else f"{p:.2f}"


def counted(group: Group) -> str:
    """`120 utterances of 8 users`"""
    users = f" of {plural(group.num_users, 'user')}" if group.num_users else ""
    return plural(group.num_utterances, "utterance") + users


def speech(seconds: float) -> str:
    """`12.5 min`"""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def speed(found: float) -> str:
    """`120 ×`: so many seconds of audio in a second."""
    return f"{found:.0f} ×" if found else ""


def plural(count: int, noun: str) -> str:
    """`1 user`, `2 users`"""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def columns_shown(breakdowns: Sequence[Breakdown]) -> list[Breakdown]:
    """The columns that tell groups apart: one group alone is the whole."""
    return [breakdown for breakdown in breakdowns if len(breakdown.groups) > 1]
