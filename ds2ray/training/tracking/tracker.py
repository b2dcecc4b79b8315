"""The seam of trackers, and one that never fails a training."""

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ds2ray.config import Tracker
from ds2ray.errors import ConfigError
from ds2ray.store.keys import private

PACKAGES = {Tracker.mlflow: "mlflow", Tracker.wandb: "wandb"}
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
"""How a training ends."""
_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")


class Tracking(Protocol):
    """One training at a tracker."""

    def describe(self, settings: Mapping[str, str]) -> None:
        """Send the settings, by name."""

    def add(self, figures: Mapping[str, float], step: int) -> None:
        """Send figures of a step or an epoch, by name."""

    def close(self, how: str) -> None:
        """End, `FINISHED`, `STOPPED` or `FAILED`."""


def require_tracker(tracker: Tracker) -> None:
    """Raise ConfigError where the tracker's package is not installed."""
    if tracker is Tracker.none:
        return
    name = PACKAGES[tracker]
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"train.tracker={tracker.value} needs the package {name}, which is not installed ({error}): "
            f"pip install 'ds2ray[{name}]' on the machine of the job and on all workers, or train.tracker=none"
        ) from error


class Tracked:
    """A training at a tracker, which is told of in a line where it fails, and then told nothing more.

    Args:
        begin: opens it.
        say: told of the failure; training goes on.
    """

    def __init__(self, begin: Callable[[], Tracking], say: Callable[[str], None]) -> None:
        self.say = say
        self._tracking: Tracking | None = None
        self._try(lambda: setattr(self, "_tracking", begin()))

    def __enter__(self) -> "Tracked":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        stopped = bool(kind) and (getattr(error, "exit_code", 0) == 75 or not isinstance(error, Exception))
        self._tell(lambda tracking: tracking.close(STOPPED if stopped else FAILED if kind else FINISHED))

    def describe(self, settings: Mapping[str, str]) -> None:
        """Send the settings, by name."""
        self._tell(lambda tracking: tracking.describe(settings))

    def add(self, figures: Mapping[str, float], step: int) -> None:
        """Send figures of a step or an epoch, by name."""
        self._tell(lambda tracking: tracking.add(figures, step))

    def _tell(self, work: Callable[[Tracking], None]) -> None:
        tracking = self._tracking
        if tracking is not None:
            self._try(lambda: work(tracking))

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # whatever a package of others raises
            self._tracking = None
            # the first line: what follows may be pages of advice, or hold an address with a password
            why = private(_PASSWORD.sub("…@", (str(error).splitlines() or [""])[0][:200]))
            self.say(f"the tracker is told nothing more of this training: {type(error).__name__}: {why}")
