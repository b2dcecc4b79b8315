"""Plots of an evaluation, as SVG: errors of every user before and after, and gains by minutes of speech."""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ds2ray.evaluation.evaluation import Evaluation
from ds2ray.evaluation.figures import Group, Verdict
from ds2ray.evaluation.groups import EMPTY
from ds2ray.evaluation.reliability import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 40
"""Users who have a line of their own with their name; more are points."""
_MAX_NAME = 24
_COLOURS = {Verdict.better: "tab:blue", Verdict.unclear: "0.55", Verdict.worse: "tab:red"}
_MARKERS = {Verdict.better: "v", Verdict.unclear: "o", Verdict.worse: "^"}


def users_svg(evaluation: Evaluation) -> str:
    """Word errors of every user, by the systems of the first pair or by the only system; empty without users."""
    groups = _users(evaluation)
    if not groups:
        return ""
    if not evaluation.pairs:
        return drawn(lambda figure: _one_system(figure, groups[:MAX_NAMED], evaluation.shown), min(len(groups), 40))
    if len(groups) <= MAX_NAMED:
        return drawn(lambda figure: _named_users(figure, groups), len(groups))
    return drawn(lambda figure: _many_users(figure, groups), 12)


def gains_svg(evaluation: Evaluation) -> str:
    """How much every user's errors fell, by the minutes of speech that the adapter learnt from; empty where these are
    not known or nothing is compared."""
    groups = [group for group in _users(evaluation) if group.name in evaluation.minutes]
    if not groups or not evaluation.pairs:
        return ""
    return drawn(lambda figure: _gains(figure, groups, evaluation.minutes), 12)


def reliability_svg(evaluation: Evaluation) -> str:
    """The share of words that were said, by confidence, for every system; empty where words have no confidence."""
    if not evaluation.reliability:
        return ""
    return drawn(lambda figure: _reliability(figure, evaluation.reliability), 14)


def _users(evaluation: Evaluation) -> list[Group]:
    """The groups of users with a name, those with the most errors at first."""
    groups = [group for group in evaluation.by_user.groups if group.name != EMPTY]
    system = evaluation.pairs[0][0] if evaluation.pairs else evaluation.shown
    return sorted(groups, key=lambda group: (-group.figures[system].score.words.rate(), group.name))


def drawn(draw: "Callable[[Figure], None]", num_lines: int, width_in: float = 8.0) -> str:
    """What `draw` makes of a figure with room for so many lines, so many inches wide, as SVG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # letters are drawn by the browser, which has those of every script; a user's name may hold dollars
    settings = mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ds2ray", "text.parse_math": False})
    with settings, warnings.catch_warnings():
        # letters that matplotlib's own font lacks are measured wrongly; the browser draws them
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(width_in, 1.1 + 0.3 * num_lines), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _named_users(figure: "Figure", groups: Sequence[Group]) -> None:
    """An arrow for each user, from the rate before to that after."""
    axes, places = figure.add_subplot(), range(len(groups))
    pairs = [_rates(group) for group in groups]
    compared = groups[0].compared[0]
    for place, (before, after), group in zip(places, pairs, groups, strict=True):
        colour = _COLOURS[group.compared[0].wer.verdict]
        axes.annotate("", (after, place), (before, place), arrowprops={"arrowstyle": "->", "color": colour})
    axes.scatter([before for before, _ in pairs], places, color="0.45", label=compared.before, zorder=3)
    axes.scatter([after for _, after in pairs], places, color="tab:blue", label=compared.after, zorder=3)
    _name(axes, groups)
    axes.set(xlabel="word error rate (%)", xlim=(0, 1.05 * max(1.0, *map(max, pairs))))
    figure.legend(loc="outside upper center", ncols=2, frameon=False)


def _one_system(figure: "Figure", groups: Sequence[Group], system: str) -> None:
    axes, places = figure.add_subplot(), range(len(groups))
    rates = [100 * group.figures[system].score.words.rate() for group in groups]
    for place, group in zip(places, groups, strict=True):
        interval = group.figures[system].wer_interval
        if interval is not None:
            axes.plot([100 * interval.low, 100 * interval.high], [place, place], color="0.6")
    axes.scatter(rates, places, color="tab:blue", zorder=3)
    _name(axes, groups)
    axes.set(xlabel="word error rate (%)", xlim=(0, None))


def _many_users(figure: "Figure", groups: Sequence[Group]) -> None:
    """A point for each user, below the diagonal where errors fell."""
    axes = figure.add_subplot()
    compared = groups[0].compared[0]
    most = 1.05 * max(1.0, *(rate for group in groups for rate in _rates(group)))
    axes.plot([0, most], [0, most], color="0.7", linewidth=1)
    _points(axes, groups, [_rates(group) for group in groups])
    axes.set(xlabel=f"word error rate of {compared.before} (%)", ylabel=f"of {compared.after} (%)")
    axes.set(xlim=(0, most), ylim=(0, most))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)


def _gains(figure: "Figure", groups: Sequence[Group], minutes: dict[str, float]) -> None:
    axes = figure.add_subplot()
    points = [(minutes[group.name], -100 * group.compared[0].wer.rate) for group in groups]
    for group, (x, _) in zip(groups, points, strict=True):
        interval = group.compared[0].wer.interval
        if interval is not None and len(groups) <= MAX_NAMED:
            axes.plot([x, x], [-100 * interval.high, -100 * interval.low], color="0.8", zorder=1)
    axes.axhline(0, color="0.7", linewidth=1)
    _points(axes, groups, points)
    if max(minutes[group.name] for group in groups) > 10 * min(minutes[group.name] for group in groups):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel="minutes of speech that the adapter learnt from", ylabel="word error rate, points gained")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)


def _reliability(figure: "Figure", systems: Mapping[str, Reliability]) -> None:
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color="0.7", linewidth=1)
    for name, found in systems.items():
        xs, ys = ([100 * getattr(each, what) for each in found.bins] for what in ("confidence", "right"))
        sizes = [12 + 300 * each.num_words / found.num_words for each in found.bins]
        (line,) = axes.plot(xs, ys, linewidth=1, alpha=0.6)
        axes.scatter(xs, ys, sizes, color=line.get_color(), alpha=0.7, label=_short(name), zorder=3)
    axes.set(xlabel="confidence (%)", ylabel="words that were said (%)", xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
    axes.grid(alpha=0.3)
    legend = figure.legend(loc="outside upper center", ncols=4, frameon=False)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(0.7)


def _points(axes: "Axes", groups: Sequence[Group], points: Sequence[tuple[float, float]]) -> None:
    """The points of users by verdict, with a colour and a shape for each."""
    for verdict in Verdict:
        chosen = [
            point for group, point in zip(groups, points, strict=True) if group.compared[0].wer.verdict is verdict
        ]
        if chosen:
            xs, ys = zip(*chosen, strict=True)
            label = f"{verdict.value} ({len(chosen)})"
            axes.scatter(xs, ys, color=_COLOURS[verdict], marker=_MARKERS[verdict], alpha=0.8, label=label, zorder=3)


def _name(axes: "Axes", groups: Sequence[Group]) -> None:
    """A line with a name for each user, from the top."""
    axes.set_yticks(range(len(groups)), [_short(group.name) for group in groups])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)


def _short(name: str) -> str:
    """The name as a plot has room for it, without what no font draws."""
    text = "".join(character if character.isprintable() else "�" for character in name)
    return text if len(text) <= _MAX_NAME else text[: _MAX_NAME - 1] + "…"


def _rates(group: Group) -> tuple[float, float]:
    """Word error rates before and after, in percent."""
    compared = group.compared[0]
    before, after = (100 * group.figures[name].score.words.rate() for name in (compared.before, compared.after))
    return before, after
