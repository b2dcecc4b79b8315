"""The demo's result: the gain of each user, as a table, as a picture and as the last line."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from ds2ray.metrics import Score


@dataclass(frozen=True)
class DemoRow:
    """A user's row of the result; errors are those of the test sentences."""

    user_id: str
    speech_s: float  # of the adapter's training
    before: Score
    after: Score
    seconds: float  # of training


def result_line(rows: Sequence[DemoRow], seconds: float) -> str:
    """The demo's last line: mean WER over users in percent, and how many users got worse."""
    before = sum(100 * row.before.words.rate() for row in rows) / len(rows)
    after = sum(100 * row.after.words.rate() for row in rows) / len(rows)
    worse = sum(row.after.words.rate() > row.before.words.rate() for row in rows)
    return f"demo: users={len(rows)} wer_before={before:.1f} wer_after={after:.1f} worse={worse} seconds={seconds:.0f}"


def gains_table(rows: Sequence[DemoRow]) -> Table:
    """The result as a table for the terminal."""
    table = Table(title="errors on test sentences, by the base alone → with the user's own adapter")
    table.add_column("user")
    for name in ("minutes of speech", "WER", "CER", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.user_id,
            f"{row.speech_s / 60:.1f}",
            f"{row.before.words.rate():.1%} → {row.after.words.rate():.1%}",
            f"{row.before.characters.rate():.1%} → {row.after.characters.rate():.1%}",
            f"{row.seconds:.1f}",
        )
    return table


def gains_png(rows: Sequence[DemoRow]) -> bytes:
    """The result as a picture: for each user an arrow from the WER of the base alone to that with the adapter."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.9 + 0.3 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = range(len(rows))
    before = [100 * row.before.words.rate() for row in rows]
    after = [100 * row.after.words.rate() for row in rows]
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
