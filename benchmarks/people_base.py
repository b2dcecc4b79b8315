"""The base of real people, trained on their recordings without what is silent in them, and the CPU seconds of that."""

import resource
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.common import say
from benchmarks.people_speech import cut_at_pauses
from benchmarks.speech import digest, run_training
from ds2ray import storage
from ds2ray.tables.manifest import Utterance, write_manifest

EPOCH_S = 30.0
"""CPU seconds of an epoch of 1.75 h of speech, on one core of an AMD EPYC (Zen 5)."""


@dataclass(frozen=True)
class PeopleBase:
    """A base of real people: its model.pt, and the CPU seconds of all that it took; None: not known."""

    path: str
    cpu_s: float | None


def epochs_in(hours: float) -> int:
    """Epochs for which there is time in so many hours of two CPU cores, about."""
    return max(1, round(hours * 2 * 3600 / EPOCH_S))


def base_of_people(
    cache: str, train: Sequence[Utterance], valid: Sequence[Utterance], settings: Sequence[str]
) -> PeopleBase:
    """Train a base on people's speech, unless the cache has it.

    Args:
        settings: overrides of jobs/train.py.
    """
    described = ([u.utterance_id for u in train], [u.utterance_id for u in valid], *settings)
    folder = storage.absolute(storage.join(cache, f"people-{digest(repr(described))}"))
    cost_uri = storage.join(folder, "cost.json")
    if not storage.exists(cost_uri):
        began_s = _cpu_s()
        say(f"training a base on {len(train)} utterances of people …")
        write_manifest(storage.join(folder, "train.parquet"), cut_at_pauses(train))
        write_manifest(storage.join(folder, "valid.parquet"), cut_at_pauses(valid))
        run_training(
            *("train=real_people", "model=brisk", "data.silence_rows=0.02", f"train.manifest={folder}/train.parquet"),
            *(f"train.valid_manifest={folder}/valid.parquet", f"train.output_dir={folder}"),
            *(f"storage.root={folder}/store", *settings),
        )
        storage.write_json(cost_uri, {"cpu_s": _cpu_s() - began_s})
    return PeopleBase(f"{folder}/model.pt", storage.read_json(cost_uri)["cpu_s"])


def _cpu_s() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
