"""jobs/export.py: a base and one user's adapter as one file."""

from ds2ray import display, storage
from ds2ray.commands.wanted import stored_base
from ds2ray.config import DataConfig, ExportJob
from ds2ray.errors import ConfigError
from ds2ray.store import Store, server_outside

SUFFIX = ".pt2"


def run(job: ExportJob) -> int:
    """Write the file that the job names; returns 0."""
    with storage.using(server_outside(DataConfig(), job.storage)):
        return _export(job, Store.of(job.storage))


def _export(job: ExportJob, store: Store) -> int:
    if not job.output.endswith(SUFFIX):
        raise ConfigError(f"output={job.output!r}: give the name of the file that is written, ending in {SUFFIX}")
    stored_base(store, job.base)  # what is wrong with it is told before torch is imported
    display.doing("opening the base")
    from ds2ray.model.stored import open_base
    from ds2ray.recognition.export import exported

    base = open_base(store, job.base)
    display.doing("exporting")
    data = exported(store, base, job.user)
    storage.write_bytes(job.output, data)
    whose = f"the adapter of user {job.user}" if job.user else "no adapter"
    display.say(f"wrote base {base.base_id} with {whose} to {job.output}, {len(data) / 1e6:.1f} MB")
    return 0
