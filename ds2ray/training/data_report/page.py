"""data.html: the report on training data as one page for a browser."""

from collections.abc import Sequence
from pathlib import Path

from ds2ray.nights.words import number, percent
from ds2ray.pages.rendering import rendered
from ds2ray.store.keys import is_private, private
from ds2ray.training.data_report.remarks import RARE, remarks
from ds2ray.training.data_report.report import TIGHT, DataReport
from ds2ray.training.data_report.sound import NARROW, SILENT_DB

PAGE = "data.html"
"""Its name in `train.output_dir`."""

MOST_CHARACTERS = 60
"""Characters of the table on the page: the most frequent ones, and behind them as many of the rarest."""

_TEMPLATE = Path(__file__).with_name("page.html")


def page(report: DataReport, title: str, doctor: Sequence[str] | None = None) -> str:
    """The page. Whatever stands in a manifest is shown as text: no tag or script in it has an effect.

    With a salt there are no texts on it and no ids.

    Args:
        title: what the base is trained on, in a few words.
        doctor: what the doctor found; None: it was not asked.
    """
    characters = sorted(report.characters.items(), key=lambda each: -each[1])
    most = max((count for _, count in characters), default=0) or 1
    return rendered(
        _TEMPLATE,
        r=report,
        title=title,
        doctor=doctor,
        remarks=remarks(report),
        left_out={private(cause): count for cause, count in report.left_out.items()},
        notes=[private(note) for note in report.notes],
        texts=[] if is_private() else report.repeated.most,
        frequent=characters[:MOST_CHARACTERS],
        rare=characters[MOST_CHARACTERS:][-MOST_CHARACTERS:],
        num_hidden=max(0, len(characters) - 2 * MOST_CHARACTERS),
        share=lambda count: count / most,
        all_tokens=sum(report.characters.values()) or 1,
        number=number,
        percent=percent,
        few=RARE,
        tight=TIGHT,
        narrow=NARROW,
        silent_db=-SILENT_DB,
    )
