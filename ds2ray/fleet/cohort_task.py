"""The task that the trials of a fleet run share, and the start of one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ds2ray.config import AdaptConfig, AdapterConfig, DataConfig
from ds2ray.storage import Server
from ds2ray.store import BaseRecord, Store
from ds2ray.tables.manifest import Utterance


@dataclass(frozen=True)
class FleetTask:
    """The task that all trials of a run share. It travels once per node, through Ray's object store.

    Attributes:
        outside: the server of `s3://` URIs outside the store, such as those of speech.
        base_record, base_weights: the frozen base; the weights as a reference to uint8 [size_bytes].
        slice_s: seconds between two reports of a trial.
        private: whether nothing may say who a user is, as the job has a salt.
        cohorts: one reference per trial to the cohort's users.
        anchor: ordinary speech that all adapters are held to the base on; empty: none.
        hold_back: whether trials report what they have trained, and neither publish it nor write outcomes.
    """

    run_id: str
    store: Store
    outside: Server
    base_record: BaseRecord
    base_weights: Any
    adapter: AdapterConfig
    adapt: AdaptConfig
    data: DataConfig
    gpus_per_trial: float
    slice_s: float
    cohorts: Sequence[Any]
    private: bool = False
    anchor: Sequence[Utterance] = ()
    hold_back: bool = False


@dataclass(frozen=True)
class CohortStart:
    """A trial's config: the cohort, and the attempt at it.

    Attributes:
        cohort: its place in the plan, from 0.
        attempt: counted from 1.
        suspected: the error that ended the worker of the attempt before, where a user of the cohort may be the cause.
    """

    cohort: int
    attempt: int = 1
    suspected: str = ""
