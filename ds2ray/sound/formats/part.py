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
        decode: gives it in blocks, float32 [at most so many samples, C]; its error comes where the damage is.
    """

    measure: Callable[[], AudioInfo]
    decode: Callable[[int], "Iterator[tuple[int, np.ndarray]]"]
    """Yields the sample rate with every block."""
