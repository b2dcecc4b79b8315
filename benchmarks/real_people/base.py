"""The base of real people, and the CPU seconds of all that it took.

It learns letters from synthetic voices first, then from people's recordings without what is silent in them.
"""

import resource
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.common import say
from benchmarks.real_people.many_voices import make_voices
from benchmarks.real_people.recordings import cut_at_pauses
from benchmarks.speech import digest, run_training
from ds2ray import storage
from ds2ray.tables.manifest import Utterance, write_manifest

EPOCH_S = 46.0
"""CPU seconds of an epoch of 1.75 h of speech, on one core of an AMD EPYC (Zen 5)."""

VOICES_H = 10.0
"""Hours of synthetic voices that are learned from first."""

VOICES_S = 1300.0
"""CPU seconds of speaking and learning from these."""


@dataclass(frozen=True)
class PeopleBase:
    """A base of real people: its model.pt, and the CPU seconds of all that it took; None: not known."""

    path: str
    cpu_s: float | None


def epochs_in(hours: float) -> int:
    """Epochs of people's speech for which there is time in so many hours of two CPU cores, about."""
    return max(1, round((hours * 2 * 3600 - VOICES_S) / EPOCH_S))


def base_of_people(
    cache: str,
    train: Sequence[Utterance],
    valid: Sequence[Utterance],
    settings: Sequence[str],
    voices_h: float = VOICES_H,
) -> PeopleBase:
    """Train a base on synthetic voices and then on people's speech, unless the cache has it.

    Args:
        settings: overrides of jobs/train.py for the second part.
        voices_h: hours of synthetic voices; 0: people alone.
    """
    described = ([u.utterance_id for u in train], [u.utterance_id for u in valid], *settings, voices_h)
    folder = storage.absolute(storage.join(cache, f"people-{digest(repr(described))}"))
    cost_uri = storage.join(folder, "cost.json")
    if not storage.exists(cost_uri):
        began_s = _cpu_s()
        recipe = ["train=real_people", "model=brisk"]
        if voices_h:
            of_voices = _base_of_voices(folder, train, voices_h)
            recipe = ["train=people_after_voices", f"train.pretrained_model_path={of_voices}"]
        say(f"training a base on {len(train)} utterances of people …")
        write_manifest(storage.join(folder, "train.parquet"), cut_at_pauses(train))
        write_manifest(storage.join(folder, "valid.parquet"), cut_at_pauses(valid))
        run_training(
            *(*recipe, "data.silence_rows=0.02", f"train.manifest={folder}/train.parquet"),
            *(f"train.valid_manifest={folder}/valid.parquet", f"train.output_dir={folder}"),
            *(f"storage.root={folder}/store", *settings),
        )
        storage.write_json(cost_uri, {"cpu_s": _cpu_s() - began_s})
    return PeopleBase(f"{folder}/model.pt", storage.read_json(cost_uri)["cpu_s"])


def _base_of_voices(folder: str, people: Sequence[Utterance], hours: float) -> str:
    """Train a base on synthetic voices that read people's sentences and others; returns the path of its model.pt."""
    say(f"speaking {hours:g} h of sentences by synthetic voices, and training a base on them …")
    output = f"{folder}/voices"
    given = [utterance.transcript.lower() for utterance in people]
    train, valid = make_voices(output, given, hours)
    run_training(
        *("train=synthetic_voices", "model=brisk_large", "data.silence_rows=0.01", f"train.manifest={train}"),
        *(f"train.valid_manifest={valid}", f"train.output_dir={output}", f"storage.root={output}/store"),
    )
    return f"{output}/model.pt"


def _cpu_s() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
