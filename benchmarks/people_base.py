"""The base of real people, trained in two parts, and the CPU seconds of all that it takes.

The first part mixes people with synthetic voices; the second has people alone.
"""

import resource
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.common import say
from benchmarks.people_speech import copies, cut_at_pauses
from benchmarks.speech import digest, run_training
from benchmarks.synthetic_readers import synthetic_speech
from ds2ray import storage
from ds2ray.tables.manifest import Utterance, write_manifest

COPIES = 2
"""How often people's utterances stand beside the synthetic ones: each time they are heard at another speed."""
MIXED = (
    *("train.num_epochs=4", "train.schedule=constant", "train.learning_rate=0.002", "train.ema_decay=0.998"),
    *("train.batch_size=16", "train.augment.max_time_mask_frames=10", "data.silence_rows=0.02"),
)  # fmt: skip
PEOPLE_ALONE = ("data.silence_rows=0.02",)
"""The settings of each part, over those of train=real_people."""

FIRST_PART_S, EPOCH_S = 510.0, 43.0
"""CPU seconds of speech and first part together, and of an epoch of the second part, on an AMD EPYC core (Zen 5)."""


@dataclass(frozen=True)
class PeopleBase:
    """A base of real people: its model.pt, and the CPU seconds of all that it took; None: not known."""

    path: str
    cpu_s: float | None


@dataclass(frozen=True)
class BaseSpeech:
    """What a base of people is trained and validated on.

    Attributes:
        synthetic: sentences that synthetic voices read; 0: there is no first part.
        never: sentences that no synthetic voice says.
    """

    train: Sequence[Utterance]
    valid: Sequence[Utterance]
    synthetic: int
    never: frozenset[str]


def epochs_in(hours: float) -> int:
    """Epochs of the second part for which there is time in so many hours of two CPU cores, about."""
    return max(1, round((hours * 2 * 3600 - FIRST_PART_S) / EPOCH_S))


def base_of_people(
    cache: str,
    speech: BaseSpeech,
    settings: Sequence[str],
    of_model: Sequence[str] = (),
    of_second: Sequence[str] = (),
) -> PeopleBase:
    """Train a base on people's speech, unless the cache has it.

    Args:
        settings: overrides of jobs/train.py, for both parts …
        of_model: … those that only a training from scratch takes …
        of_second: … and those of the second part.
    """
    ids = [utterance.utterance_id for utterance in (*speech.train, *speech.valid)]
    described = repr((ids, speech.synthetic, MIXED, PEOPLE_ALONE, *settings, *of_model, *of_second))
    folder = storage.absolute(storage.join(cache, f"people-{digest(described)}"))
    cost_uri = storage.join(folder, "cost.json")
    if not storage.exists(cost_uri):
        began_s = _cpu_s()
        say(f"a base of {len(speech.train)} utterances of people and {speech.synthetic} of synthetic voices …")
        people = cut_at_pauses(speech.train)
        write_manifest(storage.join(folder, "people.parquet"), people)
        write_manifest(storage.join(folder, "valid.parquet"), cut_at_pauses(speech.valid))
        start: Sequence[str] = ("model=brisk", *of_model)
        if speech.synthetic:
            spoken = synthetic_speech([u.transcript for u in speech.train], speech.synthetic, speech.never)
            write_manifest(storage.join(folder, "mixed.parquet"), [*copies(people, COPIES), *spoken])
            _train(folder, "mixed", f"{folder}/mixed", [*start, *MIXED, *settings])
            start = (f"train.pretrained_model_path={folder}/mixed/model.pt",)
        _train(folder, "people", folder, [*start, *PEOPLE_ALONE, *of_second, *settings])
        storage.write_json(cost_uri, {"cpu_s": _cpu_s() - began_s})
    return PeopleBase(f"{folder}/model.pt", storage.read_json(cost_uri)["cpu_s"])


def _train(folder: str, speech: str, output_dir: str, settings: Sequence[str]) -> None:
    run_training(
        *("train=real_people", f"train.manifest={folder}/{speech}.parquet", f"train.output_dir={output_dir}"),
        *(f"train.valid_manifest={folder}/valid.parquet", f"storage.root={folder}/store", *settings),
    )


def _cpu_s() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
