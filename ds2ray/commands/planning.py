"""The plan of a fleet run: its users read, checked and compared with the index."""

import os
import time
from dataclasses import replace
from typing import Any

from ds2ray.commands.wanted import MODEL_FILE_SUFFIX, BaseSettings
from ds2ray.config import AdaptJob
from ds2ray.fleet.bandwidth import bandwidth_notes
from ds2ray.fleet.choosing.users import chosen_users
from ds2ray.fleet.cohorts import CohortSize, Room, cohort_size, speech_bytes_per_s
from ds2ray.fleet.plan import Plan, plan_run
from ds2ray.naming import named
from ds2ray.progress import Tell, untold
from ds2ray.store import BaseRecord, Store
from ds2ray.store.index import read_rows
from ds2ray.store.layout import base_uri, calibrations_uri, language_model_record_uri
from ds2ray.tables.problems import ProblemKind
from ds2ray.tables.users import read_fleet, stat_audio, usable_users
from ds2ray.tables.validation import refuse
from ds2ray.text import require_words
from ds2ray.upkeep.erasing import read_tombstones
from ds2ray.upkeep.erasing.fleets import erased_note, without_erased


def make_plan(job: AdaptJob, store: Store, record: BaseRecord, tell: Tell = untold, index: Any = None) -> Plan:
    """Read and check the users and compare them with the index.

    Of a sealed user only the row is read: a plan costs a few requests, however many sealed users there are.

    Args:
        index: its rows, where they have been read already.
    """
    fleet, num_erased = without_erased(read_fleet(job.users, job.data, tell), read_tombstones(store))
    fleet, adapt, choice = chosen_users(fleet, job.adapt, store)
    objects = stat_audio(fleet.users, tell, job.data)
    base = BaseSettings.of(record)
    require_words(base.vocabulary.config)
    users = usable_users(
        fleet.users,
        data=job.data,
        shape=base.shape,
        vocabulary=base.vocabulary,
        objects=objects,
        tell=tell,
    )
    # unreadable rows concern their user only; unusable audio stops the run where data.bad_audio says so
    refuse((p for user in users for p in user.problems if p.kind is not ProblemKind.row), job.data, job.users)
    plan = plan_run(
        replace(fleet, users=users),
        read_rows(store) if index is None else index,
        objects,
        base_fingerprint=record.fingerprint,
        adapter=job.adapter,
        adapt=adapt,
        data=job.data,
        size=size_of_cohorts(job, record, Room(trials=os.cpu_count() or 1)),
        now_s=time.time(),
    )
    notes = [*bandwidth_notes(users, base.audio.sample_rate_hz, record.metrics), *_listening_notes(job, store, record)]
    refused = [erased_note(num_erased)] if num_erased else []
    return replace(plan, notes=(*choice, *plan.notes, *notes, *refused), num_erased=num_erased)


def _listening_notes(job: AdaptJob, store: Store, record: BaseRecord) -> list[str]:
    """A line on what the base lacks to recognise speech without transcripts well, where such speech is used."""
    if not job.data.unlabelled:
        return []
    is_elsewhere = "/" in job.base and not job.base.endswith(MODEL_FILE_SUFFIX)
    folder = job.base.rstrip("/") if is_elsewhere else base_uri(store, record.base_id)
    needed = {"language model": language_model_record_uri(folder), "calibration": calibrations_uri(folder)}
    missing = [what for what, uri in needed.items() if not store.exists(uri)]
    if not missing:
        return []
    return [
        f"speech without transcripts: the base has no {' and no '.join(missing)}, so that little of it is recognised "
        f"surely and rightly; make what is missing with {named('language_model')} and {named('calibrate')}"
    ]


def size_of_cohorts(job: AdaptJob, record: BaseRecord, room: Room) -> CohortSize:
    """The size of cohorts that suits settings, base and cluster."""
    bytes_per_s = speech_bytes_per_s(BaseSettings.of(record).shape, job.adapter.after_layer, job.adapt)
    return cohort_size(job.adapt, room, bytes_per_s)
