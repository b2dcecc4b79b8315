"""What is renewed from time to time outlasts the failures of single renewals."""

import time
from collections.abc import Callable

from ds2ray import display
from ds2ray.errors import ArtifactCorruptError, StorageError
from ds2ray.progress import duration_text

MARGIN = 0.25
"""Share of its life before the end of which a renewal has to succeed."""


def bearing_outages(renew: Callable[[], None], lasts_s: float) -> Callable[[], None]:
    """A `renew` that bears a store that fails, as long as what the last renewal gave does not nearly end.

    Args:
        renew: gives something that lasts for `lasts_s`, as it has when this function is called.
    """
    renewed_s = time.monotonic()

    def renew_or_bear() -> None:
        nonlocal renewed_s
        asked_s = time.monotonic()
        try:
            renew()
            renewed_s = asked_s
        except ArtifactCorruptError:
            raise
        except StorageError as error:
            left_s = renewed_s + (1 - MARGIN) * lasts_s - time.monotonic()
            if left_s <= 0:
                raise
            display.say(f"the lease cannot be renewed ({error}); the run goes on for {duration_text(left_s)} without")

    return renew_or_bear
