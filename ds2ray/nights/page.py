"""report.html: a night as one page for a browser, which needs no other file, no network and no script."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ds2ray.config.reporting.report import ReportConfig
from ds2ray.evaluation.page import as_image
from ds2ray.nights.compared import Comparison, cost, gpu_hours
from ds2ray.nights.plots import errors_svg, gains_svg, histogram_svg, trained_users
from ds2ray.nights.words import change, number, percent, verdict
from ds2ray.progress import duration_text
from ds2ray.store.keys import is_private, shown_user

MAX_USERS = 200
"""Users of a list on the page; all are in the run's tables."""

_TEMPLATE = Path(__file__).with_name("page.html")


def page(comparison: Comparison, report: ReportConfig) -> str:
    """The page. Whatever stands in the store is shown as text: no tag or script in it has an effect."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(
        user=naming(report), number=number, percent=percent, change=change, duration=duration_text, most=MAX_USERS
    )
    night = comparison.night
    stages = night.summary.get("stages") or {}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        c=comparison,
        night=night,
        nights=[night, *comparison.earlier],
        verdict=verdict(night.summary),
        plots=_plots(comparison),
        stages=_shares(list(stages.items())),
        gpu_hours=gpu_hours(night),
        cost=cost(night, report),
        currency=report.currency,
        settings=night.summary.get("settings") or {},
        versions=night.summary.get("versions") or {},
    )


def naming(report: ReportConfig) -> Callable[[str], str]:
    """How users are named."""
    by_id = report.show_ids and not is_private()
    return shown_user if by_id else str


def _plots(comparison: Comparison) -> list[tuple[str, str]]:
    """Pictures, each with the words that stand for it where it is not seen; none where nobody was trained."""
    users = trained_users(comparison.night)
    if not users:
        return []
    fell = sum(after < before for _, _, before, after in users)
    in_words = f"of {len(users)} trained users, the held-out error fell for {fell}"
    pictures = [
        (errors_svg(comparison.night), f"Held-out error of the base and of the new adapter: {in_words}."),
        (histogram_svg(comparison.night), "How many users have which held-out error, before and after the run."),
        (gains_svg(comparison.night), "Points of held-out error that each user gained, by minutes of speech."),
    ]
    return [(as_image(svg), words) for svg, words in pictures if svg]


def _shares(stages: Sequence[tuple[str, float]]) -> list[tuple[str, float, float]]:
    """Each stage with its seconds and its share of all."""
    total = sum(seconds for _, seconds in stages) or 1.0
    return [(stage, seconds, seconds / total) for stage, seconds in stages]
