"""Figures of nights in words, for the page and the terminal."""

from typing import Any

from ds2ray.progress import size_text

_VERDICTS = {
    0: ("good", "Complete"),
    3: ("bad", "Complete, but too many users failed or had no usable speech"),
    5: ("bad", "Stopped, as storage failed: nothing is lost, run it again"),
    6: ("bad", "Stopped, as those who tried the new base first gained too little: nothing was changed"),
    75: ("warned", "Interrupted: what is finished is published, run it again for the rest"),
}


def verdict(summary: dict[str, Any]) -> tuple[str, str]:
    """How a run ended: `good`, `warned` or `bad`, and the same as a sentence with the exit code."""
    code = summary.get("exit_code")
    if code is None:
        return "warned", "Ended; an earlier release did not record how"
    kind, text = _VERDICTS.get(code, ("bad", "Ended by an error"))
    return kind, f"{text} (exit code {code})"


def number(value: float | None) -> str:
    """A count: `1,204`; a dash where it is not known."""
    return "–" if value is None else f"{value:,.0f}"


def traffic_text(traffic: Any) -> str:
    """What a run asked of servers, as its summary has it: `1,204, of which 3 were sent again; 2.1 MB read, …`."""
    if not isinstance(traffic, dict) or not traffic.get("requests"):
        return ""
    read, written = (size_text(traffic.get(name) or 0) for name in ("read_bytes", "written_bytes"))
    again = number(traffic.get("retries"))
    return f"{number(traffic['requests'])}, of which {again} were sent again; {read} read, {written} written"


def percent(rate: float | None) -> str:
    """A rate: `12.5 %`."""
    return "–" if rate is None else f"{100 * rate:.1f} %"


def change(difference: float | None, *, points: bool = False) -> str:
    """A difference with its sign: `+3`, `−2`, `±0`; of rates in percentage points."""
    if difference is None:
        return "–"
    text = f"{100 * abs(difference):.1f}" if points else f"{abs(difference):,.0f}"
    if not float(text.replace(",", "")):
        return f"±{text}"
    return f"{'+' if difference > 0 else '−'}{text}"
