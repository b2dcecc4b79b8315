"""Printed lines, without those that are there only where a machine is slow.

In a log, progress is told when no line has been printed for half a minute.
"""

import math
import re
from collections.abc import Sequence

from ds2ray.display.doing import Doing
from ds2ray.display.log import LogDisplay
from ds2ray.progress import INTERVAL_S

TOLD_OF_TRAINING = re.compile(
    r"loading|reading the manifests and looking at the audio|(dis)?connecting (to|from) Ray|(starting|stopping) Ray|"
    r"starting workers|reading the first batches|epoch \d+/\d+(: validating| · step .*)"
)


class Untimed(LogDisplay):
    """The display of a log in which half a minute never passes."""

    def doing(self, now: Doing, every_s: float) -> None:
        super().doing(now, math.inf if every_s >= INTERVAL_S else every_s)


def said(lines: Sequence[str]) -> list[str]:
    """The lines of training a base, but for those of progress."""
    return [line for line in lines if not TOLD_OF_TRAINING.fullmatch(line)]
