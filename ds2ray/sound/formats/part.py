"""A stretch of a file that one decoder reads from its beginning to its end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ds2ray.sound.formats.info import AudioInfo


@dataclass(frozen=True)
class Part:
    """One recording of a file; most files hold one, joined ones several.

    Attributes:
        measure: gives its rate, channels and exact number of samples, with as little reading as its format allows.
        decode: gives it in blocks of so many numbers at most, float32 [num_samples, C], each with the sample rate. An
            error comes where the damage is, and TooLong before anything is decoded where the header is exact and says
            that there are more than so many seconds.
    """

    measure: Callable[[], AudioInfo]
    decode: Callable[[int, float], Iterator[tuple[int, np.ndarray]]]
