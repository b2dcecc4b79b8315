"""The report on training data that jobs/train.py leaves before the first step."""

from collections.abc import Sequence

from ds2ray import display, storage
from ds2ray.config import TrainJob
from ds2ray.errors import StorageError
from ds2ray.shapes.shape import Shape
from ds2ray.training.base.sources import TrainingData
from ds2ray.training.data_report.page import PAGE, page
from ds2ray.training.data_report.remarks import in_short, remarks
from ds2ray.training.data_report.report import DataReport, report_on

MOST_TOLD = 5
"""Remarks that are printed where there is a page, which has all."""


def tell_data(job: TrainJob, data: TrainingData, shape: Shape) -> DataReport:
    """Say what the training data are like and what stands out in them, and write the page; returns the report.

    A dry run writes a page only where `train.data_page` says so.

    Raises:
        StorageError: the store cannot be reached or refuses the credentials, so that no audio can be read.
    """
    train = job.train

    def tell(done: int, of: int) -> None:
        display.doing("listening to a sample of the data", f"{done}/{of} utterances", share=done / of)

    report = report_on(data, shape, train.report_sample, train.loader_threads, tell)
    display.say(f"  data: {in_short(report)}")
    found, has_page = remarks(report), bool(_page_uri(job))
    shown = found[:MOST_TOLD] if has_page else found
    for remark in shown:
        display.say(f"  data: {remark}")
    if len(found) > len(shown):
        display.say(f"  data: … and {len(found) - len(shown)} more")
    write_data_page(job, data, report)
    return report


def write_data_page(job: TrainJob, data: TrainingData, report: DataReport, doctor: Sequence[str] | None = None) -> None:
    """Write the page, where there is to be one, and say where at first; where that fails, say so and go on."""
    uri = _page_uri(job)
    if not uri:
        return
    text = page(report, f"{len(data.train)} utterances, {len(data.vocabulary)} tokens", doctor)
    try:
        storage.write_bytes(uri, text.encode("utf-8", "replace"))
    except StorageError as error:
        display.say(f"  the report on the data is not written: {error}")
        return
    if doctor is None:
        display.say(f"  report on the data: {uri}")


def _page_uri(job: TrainJob) -> str:
    """Where the page is written; empty: nowhere."""
    if job.train.data_page or job.dry_run:
        return job.train.data_page
    return storage.join(job.train.output_dir, PAGE)
