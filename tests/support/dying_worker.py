"""A worker of recognition whose process really dies, once or whenever it comes to a part."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from ds2ray.cluster.transcription import PartWorker
from ds2ray.recognition.parts import ManifestPart
from ds2ray.tables.manifest import Utterance

DIES_ONCE, DIES_ALWAYS, FAILS = 1, 2, 3
"""Numbers of the parts that it does not survive, or cannot do."""


class DyingWorker(PartWorker):
    """Leaves a mark beside the folder of parts before it dies."""

    def work(self, part: ManifestPart, utterances: Sequence[Utterance], keys: Mapping[str, str]) -> None:
        mark = Path(f"{self.shared.folder_uri}.died-{part.number}")
        if part.number == DIES_ALWAYS or (part.number == DIES_ONCE and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if part.number == FAILS:
            raise RuntimeError("a defect")
        super().work(part, utterances, keys)
