"""The plot of a sweep: errors against bytes and against seconds, and which trials nothing else beats."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ds2ray.config import ErrorMetric
from ds2ray.fleet.sweep.choice import Decision, Judged
from ds2ray.fleet.sweep.points import shown

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

MAX_NAMED = 12
"""Trials that have their settings beside them: the best of those that nothing beats."""
_CHOSEN, _SAME, _OTHER = "tab:orange", "tab:blue", "0.6"


def plot_bytes(decision: Decision, names: Sequence[str], metric: ErrorMetric, file_format: str) -> bytes:
    """The plot as `png` or `svg`; at least one trial has to have gone through.

    Args:
        names: the settings that the sweep has varied.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ds2ray", "text.parse_math": False}):
        figure = Figure(figsize=(11, 5.4), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, sharey=True)
        _panel(left, decision, names, lambda one: one.result.size_bytes / 1e6)
        _panel(right, decision, names, lambda one: one.result.seconds_per_user)
        left.set(xlabel="size of a user's adapter (MB, float32)", ylabel=f"held-out {metric.name.upper()} (%)")
        right.set(xlabel="training, seconds of a process for a user")
        before = 100 * decision.ranked[0].error_before
        top = max(100 * (one.within.high if one.within else one.error) for one in decision.ranked)
        if before <= 2 * top:
            for axes in (left, right):
                axes.axhline(before, linestyle="--", color="0.5", zorder=1)
        left.set_ylim(0, 1.1 * max(top, before if before <= 2 * top else 0.0, 0.1))
        figure.legend(*_legend(), loc="outside upper center", ncols=4, frameon=False)
        tried = " · ".join(name.partition(".")[2].replace("_", " ") for name in names)
        said = f"the base alone: {before:.1f} %; bars hold 95 % of what other users of the kind would show"
        figure.supxlabel(f"{said}{'; beside points: ' if tried else ''}{tried}", fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=file_format, dpi=130, metadata={"Date": None} if file_format == "svg" else None)
    return buffer.getvalue()


def _panel(axes: "Axes", decision: Decision, names: Sequence[str], cost: Callable[[Judged], float]) -> None:
    """All trials by one cost, with the steps of those that nothing beats."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for one in decision.ranked:
        x, y = cost(one), 100 * one.error
        colour = _CHOSEN if one is decision.chosen else _SAME if one.same else _OTHER
        if one.within:
            axes.plot([x, x], [100 * one.within.low, 100 * one.within.high], color=colour, alpha=0.45, zorder=2)
        axes.scatter([x], [y], color=colour, zorder=4 if one is decision.chosen else 3, s=45 if one.unbeaten else 22)
    front = front_of(decision.ranked, cost)
    axes.step(
        [cost(one) for one in front],
        [100 * one.error for one in front],
        where="post",
        color="0.35",
        linewidth=1,
        zorder=1,
    )
    for number, one in enumerate(front[-MAX_NAMED:]):
        above = number % 2 == 0
        axes.annotate(
            " · ".join(shown(one.result.settings.get(name, "-")) for name in names),
            (cost(one), 100 * one.error),
            xytext=(5, 7 if above else -11),
            textcoords="offset points",
            fontsize=7,
        )
    costs = [cost(one) for one in decision.ranked]
    if max(costs) > 5 * min(costs) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.2)
    axes.grid(alpha=0.3)


def front_of(judged: Sequence[Judged], cost: Callable[[Judged], float]) -> list[Judged]:
    """The trials that no other one beats in both error and cost, the cheapest first."""
    front: list[Judged] = []
    for one in sorted(judged, key=lambda one: (cost(one), one.error)):
        if not front or one.error < front[-1].error:
            front.append(one)
    return front


def _legend() -> "tuple[list[Artist], list[str]]":
    from matplotlib.lines import Line2D

    def dot(colour: str) -> Line2D:
        return Line2D([], [], color=colour, marker="o", linewidth=1.5)

    marks: list[Artist] = [dot(_CHOSEN), dot(_SAME), dot(_OTHER), Line2D([], [], color="0.35", linewidth=1)]
    return marks, ["best.yaml", "the same but for chance", "worse", "nothing has fewer errors for less"]
