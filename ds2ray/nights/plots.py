"""Plots of a night, as SVG that follows the theme of the page: errors before and after, and gains by minutes of speech.

Nobody is named in them.
"""

from typing import TYPE_CHECKING

from ds2ray.evaluation.plots import drawn
from ds2ray.nights.night import Night
from ds2ray.store.outcomes import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_IN, _LINES = 5.0, 10  # letters stay legible on a phone
_COLOURS = {Status.adapted: "#2a78c2", Status.kept_previous: "#d0661b"}
_MARKERS = {Status.adapted: "o", Status.kept_previous: "^"}
_LABELS = {Status.adapted: "new adapter", Status.kept_previous: "not better, kept"}
_DARK = (
    "<style>@media (prefers-color-scheme: dark) { text { fill: #e6e6e6 !important } "
    '[style*="stroke: #000000"] { stroke: #b8b8b8 !important } }</style>'
)


def trained_users(night: Night) -> list[tuple[Status, str, float, float]]:
    """Status, key, and held-out errors of the base and of the new adapter in percent, of all users with both."""
    return [
        (outcome.status, outcome.user_key, 100 * outcome.error_before, 100 * outcome.error_after)
        for outcome in night.outcomes
        if outcome.status in _COLOURS and outcome.error_before is not None and outcome.error_after is not None
    ]


def errors_svg(night: Night) -> str:
    """A point for each trained user, below the diagonal where errors fell; empty where nobody was trained."""
    users = trained_users(night)
    return _themed(drawn(lambda figure: _scatter(figure, users), _LINES, _WIDTH_IN)) if users else ""


def histogram_svg(night: Night) -> str:
    """How many users had, and have, an error of about so much; empty where nobody was trained."""
    users = trained_users(night)
    return _themed(drawn(lambda figure: _histogram(figure, users), _LINES, _WIDTH_IN)) if users else ""


def gains_svg(night: Night) -> str:
    """Points of error that each user gained, by minutes of speech; empty where minutes are not known."""
    minutes = night.minutes()
    users = [(status, minutes[key], before - after) for status, key, before, after in trained_users(night)
             if minutes.get(key)]  # fmt: skip
    return _themed(drawn(lambda figure: _gains(figure, users), _LINES, _WIDTH_IN)) if users else ""


def _scatter(figure: "Figure", users: list[tuple[Status, str, float, float]]) -> None:
    axes = _axes(figure)
    most = 1.05 * max(1.0, *(error for _, _, *errors in users for error in errors))
    axes.plot([0, most], [0, most], color="0.5", linewidth=1)
    _points(axes, [(status, before, after) for status, _, before, after in users])
    axes.set(xlabel="held-out error of the base (%)", ylabel="of the new adapter (%)", xlim=(0, most), ylim=(0, most))
    figure.legend(loc="outside upper center", ncols=2, frameon=False)


def _histogram(figure: "Figure", users: list[tuple[Status, str, float, float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = _axes(figure)
    before = [user[2] for user in users]
    after = [user[3] if user[0] is Status.adapted else user[2] for user in users]
    most = max(1.0, *before, *after)
    colours = ["#8a8a8a", _COLOURS[Status.adapted]]
    axes.hist([before, after], bins=12, range=(0, most), color=colours, label=["base", "after the run"])
    axes.set(xlabel="held-out error (%)", ylabel="users")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper center", ncols=2, frameon=False)


def _gains(figure: "Figure", users: list[tuple[Status, float, float]]) -> None:
    axes = _axes(figure)
    axes.axhline(0, color="0.5", linewidth=1)
    _points(axes, users)
    least, most = (pick(minutes for _, minutes, _ in users) for pick in (min, max))
    if most > 10 * least:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel="minutes of speech", ylabel="held-out error, points gained")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)


def _axes(figure: "Figure") -> "Axes":
    """Axes through which the page is seen."""
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    axes.grid(alpha=0.3)
    return axes


def _points(axes: "Axes", users: list[tuple[Status, float, float]]) -> None:
    """Users by status, with a colour and a shape for each."""
    for status, label in _LABELS.items():
        points = [(x, y) for each, x, y in users if each is status]
        if points:
            xs, ys = zip(*points, strict=True)
            label = f"{label} ({len(points)})"
            axes.scatter(xs, ys, color=_COLOURS[status], marker=_MARKERS[status], alpha=0.8, label=label, zorder=3)


def _themed(svg: str) -> str:
    """A picture whose letters and axes are light where the reader's theme is dark."""
    head, tag, rest = svg.partition("<defs>")
    return f"{head}{_DARK}{tag}{rest}"
