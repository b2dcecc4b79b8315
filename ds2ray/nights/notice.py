"""The notice of a run's end or failure: one message for people who are not looking."""

from collections.abc import Mapping
from typing import Any

MEANINGS = {
    0: "complete",
    2: "wrong settings or input, nothing was started",
    3: "complete, but too many users failed",
    5: "the store failed, run it again",
    6: "the users who tried a new base first gained too little, nothing was changed",
    75: "interrupted, or another run is at work: run it again",
}
"""Exit codes in words."""


def notice(summary: Mapping[str, Any], error: str, place: str) -> str:
    """The message for a run.

    Args:
        summary: as summary.json has it; of a run that failed before it had one, with `exit_code` alone.
        error: why it failed; empty where it did not.
        place: URI of the store.
    """
    code = int(summary.get("exit_code", 1))
    lines = [f"ds2ray run {summary.get('run_id', '(not begun)')} of {place}: {MEANINGS.get(code, 'failed')} ({code})"]
    counts = [f"{count} {status}" for status, count in summary.get("statuses", {}).items() if count]
    if counts:
        lines.append(", ".join(counts))
    if error:
        lines.append(error)
    return "\n".join(lines)
