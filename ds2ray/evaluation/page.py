"""evaluation.html: an evaluation as one page for a browser, which needs no other file and no network."""

import base64
from pathlib import Path

from ds2ray.chance import CHANCE
from ds2ray.evaluation import tables
from ds2ray.evaluation.evaluation import NOBODY, Evaluation
from ds2ray.evaluation.figures import MIN_DRAWN
from ds2ray.evaluation.plots import gains_svg, reliability_svg, users_svg

MAX_GROUPS = 200
"""Groups of a column on the page, those with the most errors; all of them are in evaluation.json."""
MAX_NOTES = 50
_TEMPLATE = Path(__file__).with_name("page.html")


def page(evaluation: Evaluation) -> str:
    """The page. Whatever stands in a manifest is shown as text: no tag or script in it has an effect."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(t=tables, nobody=NOBODY, min_drawn=MIN_DRAWN, confidence=f"{1 - CHANCE:.0%}")
    breakdowns = [_most_wrong(breakdown, evaluation.shown) for breakdown in tables.columns_shown(evaluation.breakdowns)]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        evaluation=evaluation,
        breakdowns=breakdowns,
        users_plot=as_image(users_svg(evaluation)),
        gains_plot=as_image(gains_svg(evaluation)),
        reliability_plot=as_image(reliability_svg(evaluation)),
        notes=evaluation.notes[:MAX_NOTES],
        num_more_notes=max(0, len(evaluation.notes) - MAX_NOTES),
    )


def _most_wrong(breakdown: tables.Breakdown, system: str) -> tables.Breakdown:
    """The groups in their order, but of very many those with the most errors."""
    if len(breakdown.groups) <= MAX_GROUPS:
        return breakdown
    groups = sorted(breakdown.groups, key=lambda group: -group.figures[system].score.words.rate())
    return tables.Breakdown(breakdown.column, groups[:MAX_GROUPS])


def as_image(svg: str) -> str:
    """The address of a picture that holds it; empty for none. A picture runs no script and has ids of its own."""
    data = base64.b64encode(svg.encode("utf-8", "replace")).decode()
    return f"data:image/svg+xml;base64,{data}" if svg else ""
