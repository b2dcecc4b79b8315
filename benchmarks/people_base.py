"""The base of real people, trained on their recordings without what is silent in them, and the CPU seconds of that."""

import io
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import soundfile

from benchmarks.common import say
from benchmarks.speech import digest, run_training
from ds2ray import storage
from ds2ray.config import AudioConfig
from ds2ray.sound.audio import read_waveform
from ds2ray.sound.cutting import cut_all
from ds2ray.sound.segments import SegmentRules
from ds2ray.tables.manifest import Utterance, write_manifest

RULES = SegmentRules(max_s=30.0, least_s=0.0)
"""Every pause of 0.3 s or more is cut down to that."""

EPOCHS_PER_HOUR = 240
"""Epochs of 1.75 h of speech in an hour of two CPU cores: 30 s of one core each, on an AMD EPYC of 2025."""


@dataclass(frozen=True)
class PeopleBase:
    """A base of real people: its model.pt, and the CPU seconds of all that it took; None: not known."""

    path: str
    cpu_s: float | None


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
            *("train=real_people", "model=brisk", f"train.manifest={folder}/train.parquet"),
            *(f"train.valid_manifest={folder}/valid.parquet", f"train.output_dir={folder}"),
            *(f"storage.root={folder}/store", "data.silence_rows=0.02", *settings),
        )
        storage.write_json(cost_uri, {"cpu_s": _cpu_s() - began_s})
    return PeopleBase(f"{folder}/model.pt", storage.read_json(cost_uri)["cpu_s"])


def cut_at_pauses(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Utterances without what is silent for long, as WAV in memory, which is quick to read in every epoch.

    Where no speech is found, the whole recording stays.
    """
    rate_hz = AudioConfig.sample_rate_hz
    waveforms = [read_waveform(utterance.audio, rate_hz) for utterance in utterances]
    cut: list[Utterance] = []
    for utterance, waveform, segments in zip(utterances, waveforms, cut_all(waveforms, rate_hz, RULES), strict=True):
        speech = np.concatenate([segment.waveform for segment in segments]) if segments else waveform
        buffer = io.BytesIO()
        soundfile.write(buffer, speech, rate_hz, format="WAV", subtype="PCM_16")
        cut.append(replace(utterance, audio=buffer.getvalue(), duration_s=len(speech) / rate_hz))
    return cut


def _cpu_s() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
