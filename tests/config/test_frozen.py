"""Settings do not change once they are composed."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from ds2ray.commandline.composing import compose_job
from ds2ray.commandline.jobs import JOBS


def sections(settings: object) -> Iterator[object]:
    """The settings of a job, and all sections in them."""
    yield settings
    for field in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from sections(value)


ARGUMENTS = {
    "train": ("train.manifest=a.csv",),
    "transcribe": ("batch_s=9",),
    "evaluate": ("batch_s=9",),
    "prepare": ("data.bad_rows=drop",),
    "language_model": ("lm.order=2",),
    "export": ("user=john",),
    "words": ("user=a",),
    "store": ("keep_runs=9",),
    "calibrate": ("batch_s=9",),
    "submit": ("name=night",),
    "report": ("report.num_nights=3",),
}
"""Overrides of a job's own settings and of sections; the others have one of the adapter's."""


@pytest.mark.parametrize("job_name", JOBS)
def test_what_overrides_have_changed_is_frozen(job_name: str) -> None:
    argv = list(ARGUMENTS.get(job_name, ("adapter.hidden_dims=[8]",)))
    job = compose_job(job_name, argv)
    assert job != JOBS[job_name].schema()
    for section in sections(job):
        first = fields(section)[0].name  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(section, first, getattr(section, first))
