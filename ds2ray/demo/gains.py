"""The demo's result: the gain of each user, as a table, as a picture and as the last line."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from rich.table import Table

from ds2ray.metrics import Score

RESAMPLES = 2000
CHANCE = 0.05
"""Share of bootstrapped differences that lie outside of their interval, half of it on each side."""
WIDE = 130
"""Columns of a terminal that show the whole table without breaking its cells."""
RISEN, HARMED = "↑", "⇈"


@dataclass(frozen=True)
class Comparison:
    """One user's test sentences, by the base alone and with the adapter: a score for each sentence."""

    before: tuple[Score, ...]
    after: tuple[Score, ...]

    def wer(self) -> tuple[float, float]:
        """Word errors as fractions, before and after."""
        before, after = (reduce(add, scores).words.rate() for scores in (self.before, self.after))
        return before, after

    def cer(self) -> tuple[float, float]:
        """Character errors as fractions, before and after."""
        before, after = (reduce(add, scores).characters.rate() for scores in (self.before, self.after))
        return before, after

    def harmed(self) -> bool:
        """Whether word errors rose beyond chance.

        A paired bootstrap over sentences (Bisani and Ney, 2004): sentences are drawn with replacement, over and over,
        and nearly always there are more errors after than before.
        """
        rises = np.array([b.words.errors - a.words.errors for a, b in zip(self.before, self.after, strict=True)])
        drawn = np.random.default_rng(0).integers(0, len(rises), (RESAMPLES, len(rises)))
        return bool(np.quantile(rises[drawn].sum(1), CHANCE / 2) > 0)

    def mark(self) -> str:
        """The mark behind the errors in the table: nothing unless they rose."""
        before, after = self.wer()
        if after <= before:
            return ""
        return f" {HARMED if self.harmed() else RISEN}"


@dataclass(frozen=True)
class DemoRow:
    """A user's row of the result; errors are those of the test sentences."""

    user_id: str
    speech_s: float  # of the adapter's training
    plain: Comparison
    with_model: Comparison  # decoded with the language model of the training transcripts
    in_silence: Comparison  # with silence around each sentence
    seconds: float  # of training


def result_line(rows: Sequence[DemoRow], seconds: float) -> str:
    """The demo's last line: mean WER over users in percent, of the sentences as they are, also with the language model,
    and for how many users it rose beyond chance, with model or silence around the sentences or without."""
    before, after = (sum(100 * row.plain.wer()[side] for row in rows) / len(rows) for side in (0, 1))
    with_model = sum(100 * row.with_model.wer()[1] for row in rows) / len(rows)
    worse = sum(any(each.harmed() for each in (row.plain, row.with_model, row.in_silence)) for row in rows)
    errors = f"wer_before={before:.1f} wer_after={after:.1f} wer_lm={with_model:.1f}"
    return f"demo: users={len(rows)} {errors} worse={worse} seconds={seconds:.0f}"


def gains_table(rows: Sequence[DemoRow], silence_s: float, width: int = WIDE) -> Table:
    """The result as a table for a terminal of so many columns; on a narrow one the last ones are left out.

    Args:
        silence_s: how much silence lies on each side of a sentence in the column that has it.
    """
    table = Table(
        title="errors on test sentences, by the base alone → with the user's own adapter",
        caption=f"{RISEN} rose, {HARMED} rose beyond chance (paired bootstrap over sentences, {1 - CHANCE:.0%})",
    )
    table.add_column("user")
    names = (
        "minutes of speech",
        "WER",
        "WER, language model",
        f"WER, {silence_s:g} s of silence around",
        "CER",
        "seconds",
    )
    num_shown = len(names) if width >= WIDE else 3
    for name in names[:num_shown]:
        table.add_column(name, justify="right")
    for row in rows:
        cells = (
            f"{row.speech_s / 60:.1f}",
            f"{_change(row.plain.wer())}{row.plain.mark()}",
            f"{_change(row.with_model.wer())}{row.with_model.mark()}",
            f"{_change(row.in_silence.wer())}{row.in_silence.mark()}",
            _change(row.plain.cer()),
            f"{row.seconds:.1f}",
        )
        table.add_row(row.user_id, *cells[:num_shown])
    return table


def _change(rates: tuple[float, float]) -> str:
    return f"{rates[0]:.1%} → {rates[1]:.1%}"


def gains_png(rows: Sequence[DemoRow]) -> bytes:
    """The result as a picture: for each user an arrow from the WER of the base alone to that with the adapter."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.9 + 0.3 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = range(len(rows))
    before = [100 * row.plain.wer()[0] for row in rows]
    after = [100 * row.plain.wer()[1] for row in rows]
    for place, start, end in zip(places, before, after, strict=True):
        axes.annotate("", (end, place), (start, place), arrowprops={"arrowstyle": "->", "color": "0.6"})
    axes.scatter(before, places, color="0.45", label="the base alone", zorder=3)
    axes.scatter(after, places, color="tab:blue", label="with the user's own adapter", zorder=3)
    axes.set_yticks(places, [row.user_id for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel="word error rate on test sentences (%)", xlim=(0, 1.05 * max(1.0, *before, *after)))
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
