"""Settings as a command line composes them, and the mistakes in it."""

from typing import TypeVar

import pytest

from ds2ray.commandline.composing import compose_job
from ds2ray.commandline.jobs import JOBS
from ds2ray.errors import ConfigError

T = TypeVar("T")


def composed(schema: type[T], *argv: str) -> T:
    job_name = next(name for name, spec in JOBS.items() if spec.schema is schema)
    job = compose_job(job_name, list(argv))
    assert type(job) is schema
    return job


def mistakes(job_name: str, *argv: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose_job(job_name, list(argv))
    assert caught.value.exit_code == 2
    return str(caught.value)
