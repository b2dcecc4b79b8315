"""jobs/sweep_adapters.py: which adapter, trained how, serves a few users best, for how many bytes and seconds."""

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ds2ray import display, storage
from ds2ray.commands.wanted import BaseSettings, require_place, stored_base
from ds2ray.config import SweepJob, to_plain
from ds2ray.errors import ArtifactCorruptError, ConfigError, InputError
from ds2ray.fleet.fingerprints import ONLY_HOW, pipeline_state, user_fingerprint
from ds2ray.fleet.sweep.choice import decide
from ds2ray.fleet.sweep.driving import Driver
from ds2ray.fleet.sweep.files import read_trial, write_trial
from ds2ray.fleet.sweep.points import ID_LENGTH, SweepPoint, digest, named, sweep_points, varied
from ds2ray.fleet.sweep.results import TrialResult
from ds2ray.fleet.sweep.search import Course, course_of, trial_of
from ds2ray.fleet.sweep.writing import Sweep, write_sweep
from ds2ray.naming import typed
from ds2ray.progress import duration_text
from ds2ray.store import Store, read_base_record, server_outside, user_key
from ds2ray.store.recovery.marks import why_no_run_id
from ds2ray.tables.manifest import Manifest
from ds2ray.tables.users import Fleet, num_expected, read_fleet, read_manifests, stat_audio, usable_users
from ds2ray.tables.users_table import user_rows
from ds2ray.text import require_words
from ds2ray.upkeep.erasing import read_tombstones
from ds2ray.upkeep.erasing.fleets import without_erased

if TYPE_CHECKING:
    from ds2ray.cluster.sweep import SweepTrials
    from ds2ray.model.weights import Base

SOME_FAILED = 3
"""The exit code of a sweep that came to its end, and of which trials failed."""

_ONLY_SHOWN = ("best", "output_dir")
"""Settings of a sweep that change nothing about its trials."""


def run(job: SweepJob) -> int:
    """Try what the settings ask for on a sample of users; returns 0, or 3 where trials failed.

    Raises:
        ConfigError, InputError: wrong settings, table or base; nothing was started.
        StorageError: the store or the users' speech cannot be reached; finished trials are kept.
    """
    with storage.using(server_outside(job.data, job.storage)):
        return _sweep(job, Store.of(job.storage))


@dataclass(frozen=True)
class _Sample:
    """The users that everything is tried on, and the base.

    Attributes:
        base: the id of the base, or the model.pt that it was read from.
        opened: the base, where it had to be opened.
        digest: of the users' speech and the base, on which every result depends.
    """

    users: Sequence[Manifest]
    base: str
    opened: "Base | None"
    digest: str

    @property
    def hours(self) -> float:
        """Hours of the users' speech."""
        return sum(u.duration_s or 0.0 for user in self.users for u in user.utterances) / 3600


def _sweep(job: SweepJob, store: Store) -> int:
    if not job.users:
        raise ConfigError(f"users is missing: give a table `user_id,manifest`: {typed('sweep_adapters')} users.csv")
    if job.sweep_id and (wrong := why_no_run_id(job.sweep_id)):
        raise ConfigError(f"sweep_id={job.sweep_id!r:.80}: {wrong}; give another one, or leave it empty")
    started_s = time.monotonic()
    points = sweep_points(job.sweep, job.adapter, job.adapt)
    course = course_of(job.sweep, points, job.adapt.gate_metric, job.adapt.seed)
    display.doing("reading the base and the users")
    sample = _sample(job, store, points)
    sweep_id = job.sweep_id or _id_of(job, sample)

    def known(trial_id: str) -> TrialResult | None:
        try:
            return read_trial(store, sweep_id, trial_id)
        except ArtifactCorruptError as error:
            display.say(f"damaged: {error}; it is run again")
            return None

    names = varied(points)
    num_users = len(sample.users)
    display.say(
        f"{course.num_trials} trials of {len(points)} adapters on {num_users} {'user' if num_users == 1 else 'users'} "
        f"({sample.hours:.2f} h of speech), base {sample.base}: sweep {sweep_id}"
    )
    if job.dry_run:
        _print_plan(course, points, names, known, sample)
        return 0
    with _Trials(job, store, sample) as trials:
        driver = Driver(course, sample.digest, known, trials.run, lambda result: write_trial(store, sweep_id, result))
        tried = driver.work_off()
    decision = decide(tried, job.adapt.gate_metric, job.sweep.best)
    code = SOME_FAILED if decision.failed else 0
    for one in decision.failed:
        logging.error("failed: %s: %s", named(one.result.settings, names), one.result.reason)
    sweep = Sweep(job, store, sweep_id, sample.base, num_users, names)
    write_sweep(sweep, decision, code, time.monotonic() - started_s)
    num_run = trials.num_run
    read = f", {len(tried) - num_run} of {len(tried)} trials were finished before" if num_run < len(tried) else ""
    display.say(f"done in {duration_text(time.monotonic() - started_s)}{read}")
    return code


class _Trials:
    """A context in which trials are run. Ray and torch are imported, and a cluster is looked for, with the first."""

    def __init__(self, job: SweepJob, store: Store, sample: _Sample) -> None:
        self.job, self.store, self.sample = job, store, sample
        self.contexts = ExitStack()
        self.trials: SweepTrials | None = None
        self.num_run = 0

    def __enter__(self) -> "_Trials":
        return self

    def __exit__(self, *raised: Any) -> bool | None:
        return self.contexts.__exit__(*raised)

    def run(self, points: Mapping[str, SweepPoint]) -> Iterator[TrialResult]:
        """Run trials; see `SweepTrials.results`."""
        if self.trials is None:
            from ds2ray.cluster.session import connected
            from ds2ray.cluster.sweep import SweepTrials
            from ds2ray.model.stored import open_base

            base = self.sample.opened or open_base(self.store, self.job.base)
            self.contexts.enter_context(connected(self.job.cluster))
            self.trials = SweepTrials(self.job, base, self.sample.users)
        for result in self.trials.results(points):
            self.num_run += 1
            yield result


def _print_plan(
    course: Course, points: Sequence[SweepPoint], names: Sequence[str], known: Any, sample: _Sample
) -> None:
    """Print what would be tried, and what is finished already."""
    if len(course.stages) > 1:
        stages = (f"{number} for {share:.0%} of their epochs" for number, share in course.stages)
        display.say(f"  successive halving: {', the best '.join(stages)}")
    elif course.num_trials < len(points):
        display.say(f"  {course.num_trials} of these:")
    for point in points:
        is_known = known(trial_of(point).trial_id(sample.digest)) is not None
        display.say(f"  {named(point.settings(), names)}{' (finished)' if is_known else ''}")


def _sample(job: SweepJob, store: Store, points: Sequence[SweepPoint]) -> _Sample:
    """The base, and a seeded draw among the users with enough usable speech."""
    settings = stored_base(store, job.base)
    fleet, _ = without_erased(read_fleet(job.users, job.data), read_tombstones(store))
    opened = None
    if settings is None:
        from ds2ray.model.stored import open_base  # imports torch

        opened = open_base(store, job.base)
        settings = BaseSettings(opened.model_config, opened.audio, opened.vocabulary)
    for point in points:
        require_place(point.adapter, settings.shape)
    require_words(settings.vocabulary.config)
    users = _drawn_users(job, fleet, settings)
    base, fingerprint = storage.absolute(job.base), opened.fingerprint if opened else ""
    if opened is None:
        record = read_base_record(store, job.base)
        fingerprint = record.fingerprint
        base = base if "/" in job.base else record.base_id
    objects = stat_audio(users, data=job.data)
    data = {"pipeline": pipeline_state(job.data)}
    speech = {user_key(user.user_id): user_fingerprint(user.utterances, objects, fingerprint, data) for user in users}
    return _Sample(users, base, opened, digest(speech))


def _id_of(job: SweepJob, sample: _Sample) -> str:
    """The id of a sweep that has no name: the same command goes on where it was stopped."""
    sweep = {name: value for name, value in to_plain(job.sweep).items() if name not in _ONLY_SHOWN}
    adapt = {name: value for name, value in to_plain(job.adapt).items() if name not in ONLY_HOW}
    plain = {"sweep": sweep, "adapter": to_plain(job.adapter), "adapt": adapt, "sample": sample.digest}
    return digest(plain)[:ID_LENGTH]


def _drawn_users(job: SweepJob, fleet: Fleet, base: BaseSettings) -> list[Manifest]:
    """The users that are drawn; of sealed users only these are read."""
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
