"""jobs/sweep_adapters.py: which adapter shape serves a few users best, for how many bytes."""

import logging
import random
import shlex
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ds2ray import display, storage
from ds2ray.commands.wanted import BaseSettings, require_place, stored_base
from ds2ray.config import SweepJob
from ds2ray.errors import ConfigError, InputError
from ds2ray.fleet.sweep import sweep_points
from ds2ray.naming import typed
from ds2ray.store import Store, read_base_record, server_outside
from ds2ray.tables.manifest import Manifest
from ds2ray.tables.users import Fleet, num_expected, read_fleet, read_manifests, usable_users
from ds2ray.tables.users_table import user_rows
from ds2ray.text import require_words
from ds2ray.upkeep.erasing import read_tombstones
from ds2ray.upkeep.erasing.fleets import without_erased


def run(job: SweepJob) -> int:
    """Try all points on a sample of users; returns the exit code."""
    with storage.using(server_outside(job.data, job.storage)):
        return _sweep(job, Store.of(job.storage))


def _sweep(job: SweepJob, store: Store) -> int:
    if not job.users:
        raise ConfigError(f"users is missing: give a table `user_id,manifest`: {typed('sweep_adapters')} users.csv")
    points = sweep_points(job.sweep, job.adapter, job.adapt)
    display.doing("reading the base and the users")
    settings = stored_base(store, job.base)
    fleet, _ = without_erased(read_fleet(job.users, job.data), read_tombstones(store))
    opened = None
    if settings is None:
        from ds2ray.model.stored import open_base  # imports torch

        opened = open_base(store, job.base)
        settings = BaseSettings(opened.model_config, opened.audio, opened.vocabulary)
    require_place(job.adapter, settings.shape)
    require_words(settings.vocabulary.config)
    users = _sample(job, fleet, settings)
    base_id = opened.base_id if opened else read_base_record(store, job.base).base_id
    hours = sum(u.duration_s or 0.0 for user in users for u in user.utterances) / 3600
    display.say(f"{len(points)} trials on {len(users)} users ({hours:.2f} h of speech), base {base_id}")
    if job.dry_run:
        for point in points:
            display.say(f"  {point.overrides()}")
        return 0
    from ds2ray.cluster.session import connected  # imports Ray and torch
    from ds2ray.cluster.sweep import try_points
    from ds2ray.fleet.sweep_report import write_report
    from ds2ray.model.stored import open_base

    base = opened or open_base(store, job.base)
    with connected(job.cluster):
        results = try_points(job, base, users, points)
    write_report(results, job.sweep.output_dir, f"{typed('adapt_users')} {shlex.quote(job.users)}")
    return 0


def _sample(job: SweepJob, fleet: Fleet, base: BaseSettings) -> list[Manifest]:
    """A seeded draw among the users with enough usable speech; of sealed users only the drawn ones are read."""
    least = job.adapt.min_utterances

    def enough(users: Sequence[Manifest]) -> list[Manifest]:
        checked = usable_users(users, data=job.data, shape=base.shape, vocabulary=base.vocabulary)
        return [user for user in checked if num_expected(user.utterances, job.data) >= least]

    known = enough(fleet.users)
    sealed = fleet.table.rows.filter(pc.greater_equal(fleet.table.rows["num_utterances"], least))
    total = len(known) + sealed.num_rows
    places = random.Random(job.adapt.seed).sample(range(total), min(job.sweep.num_users, total))
    rows = sealed.take(pa.array([place - len(known) for place in places if place >= len(known)], pa.int64()))
    drawn = [known[place] for place in places if place < len(known)]
    drawn += enough(read_manifests(user_rows(rows, job.users), job.data))
    if not drawn:
        num_users = len(fleet.users) + fleet.table.rows.num_rows
        wanted = f"the {least} usable utterances that adapt.min_utterances asks for"
        raise InputError(f"{job.users}: none of {num_users} users has {wanted}")
    if len(drawn) < len(places):
        logging.warning("left out: %d drawn users, whose manifests hold too little speech", len(places) - len(drawn))
    return sorted(drawn, key=lambda user: user.user_id)
