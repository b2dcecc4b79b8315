"""Progress of a fleet run: a live line on a terminal, a line every half minute in a log."""

import sys
import time
from collections import Counter
from typing import Any

from ray.tune import Callback
from rich.console import Console
from rich.live import Live

from ds2ray.fleet.report import progress_line

LOG_INTERVAL_S = 30.0


class FleetProgress(Callback):
    """Counts users as Tune reports them, and keeps the run's lease alive.

    Args:
        total: users to train.
        keep_alive: called every few seconds while the run goes on.
    """

    def __init__(self, total: int, keep_alive: Any) -> None:
        self.total = total
        self.keep_alive = keep_alive
        self.counts: Counter[str] = Counter()
        self.recoveries: Counter[int] = Counter()  # by cohort: how often its trial was started again …
        self.errors: dict[int, BaseException | None] = {}  # … and the last error of a trial that was given up
        self.started_s = time.monotonic()
        self.last_line_s = self.started_s
        self.last_alive_s = self.started_s
        console = Console(stderr=True)
        self.live = Live(console=console, auto_refresh=False, transient=True) if sys.stderr.isatty() else None

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.counts.update(result.get("statuses", {}))
        self._show()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        cohort = trial.config["cohort"]
        self.recoveries[cohort] += 1
        self._print(f"cohort {cohort} is started again: its worker ended before its time")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.errors[trial.config["cohort"]] = trial.get_pickled_error() or trial.get_error()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        now_s = time.monotonic()
        if now_s - self.last_alive_s >= LOG_INTERVAL_S:
            self.last_alive_s = now_s
            self.keep_alive()
        self._show()

    def __enter__(self) -> "FleetProgress":
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.stop()

    def _show(self) -> None:
        now_s = time.monotonic()
        line = progress_line(self.counts.total(), self.total, dict(self.counts), now_s - self.started_s)
        if self.live is not None:
            self.live.update(line, refresh=True)
        elif now_s - self.last_line_s >= LOG_INTERVAL_S:
            self.last_line_s = now_s
            self._print(line)

    def _print(self, line: str) -> None:
        if self.live is not None:
            self.live.console.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)


def told(error: BaseException | None) -> str:
    """An error of a trial in one line."""
    if error is None:
        return ""
    error = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
