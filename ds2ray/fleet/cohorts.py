"""The size of cohorts, and their users. Pure: the resources of the cluster are an argument."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ds2ray.config import AdaptConfig
from ds2ray.config.adapt import FURTHER_TIMES
from ds2ray.shapes.shape import FLOAT32_BYTES, Shape

CPU_USERS = 64
"""Users of a cohort on CPUs, which train a few at a time: enough to make the cost of a cohort's start small."""

GPU_USERS = 512
"""Users of a cohort on GPUs, which train all of them in one step."""

CPU_SPEECH_S = 7200.0
"""Seconds of speech of a cohort on CPUs: some hours' work at most, and enough to fill the trunk's batches."""

LEAST_SPEECH_S = 600.0
"""Seconds of speech that a cohort may have however little memory there is."""

MEMORY_SHARE = 0.5
"""Share of a trial's memory for the speech of its cohort; the rest is for the base, training and Python itself."""


@dataclass(frozen=True)
class Room:
    """The room of a cluster for trials.

    Attributes:
        trials: that run at the same time.
        gpus: whether they run on GPUs.
        memory_bytes: host memory for each; inf where it is not known.
    """

    trials: int = 1
    gpus: bool = False
    memory_bytes: float = math.inf


@dataclass(frozen=True)
class CohortSize:
    """How users are packed: users and seconds of speech of a cohort at most, and cohorts at least."""

    max_users: int
    max_speech_s: float
    min_cohorts: int = 1


def cohort_size(adapt: AdaptConfig, room: Room, bytes_per_s: float = 0.0) -> CohortSize:
    """The size that the settings ask for or, where they leave it open, that suits the processors and their memory.

    Args:
        bytes_per_s: memory that a second of speech takes in a trial, see `speech_bytes_per_s`.
    """
    max_users = adapt.max_cohort_users or (GPU_USERS if room.gpus else CPU_USERS)
    max_speech_s = adapt.max_cohort_s
    if not max_speech_s:
        fits_s = MEMORY_SHARE * room.memory_bytes / bytes_per_s if bytes_per_s else math.inf
        max_speech_s = max(LEAST_SPEECH_S, fits_s if room.gpus else min(CPU_SPEECH_S, fits_s))
    return CohortSize(max_users, max_speech_s, adapt.max_concurrent_trials or room.trials)


def speech_bytes_per_s(shape: Shape, after_layer: int, adapt: AdaptConfig) -> float:
    """Host memory that a second of a user's speech takes: its encodings in float32, those of further recordings of it
    where there are any, and the audio in 16 bits.

    Raises ConfigError where the base has no such place for an adapter.
    """
    times = 1 + FURTHER_TIMES if adapt.further_share and shape.place(after_layer) < shape.num_stages else 1
    return times * shape.width(after_layer) * FLOAT32_BYTES / shape.frame_s + 2 * shape.audio.sample_rate_hz


def pack_cohorts(speech_s: Sequence[float], size: CohortSize) -> list[list[int]]:
    """Divide users into cohorts of about equal amounts of speech.

    The user with the most speech goes first, always to the cohort that has the least. A cohort holds at most
    `max_users` and, but for a single user with more, `max_speech_s` seconds.

    Returns:
        Lists of indices into `speech_s`, each index once; the cohort with the most speech first.
    """
    order = sorted(range(len(speech_s)), key=lambda user: (-speech_s[user], user))
    by_speech = math.ceil(math.fsum(speech_s) / size.max_speech_s)
    wanted = max(size.min_cohorts, math.ceil(len(order) / size.max_users), by_speech)
    cohorts: list[list[int]] = [[] for _ in range(min(wanted, len(order)))]
    # by speech, then by users, so that users without speech are spread, too
    open_cohorts = [(0.0, 0, number) for number in range(len(cohorts))]
    for user in order:
        if not open_cohorts or (open_cohorts[0][1] and open_cohorts[0][0] + speech_s[user] > size.max_speech_s):
            cohorts.append([])
            heapq.heappush(open_cohorts, (0.0, 0, len(cohorts) - 1))
        load_s, num_users, number = heapq.heappop(open_cohorts)
        cohorts[number].append(user)
        if num_users + 1 < size.max_users:
            heapq.heappush(open_cohorts, (load_s + speech_s[user], num_users + 1, number))
    return sorted(cohorts, key=lambda cohort: (-math.fsum(speech_s[user] for user in cohort), cohort))
