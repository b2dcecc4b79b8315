"""Tables and corpora as people have them, kept beside the checkout; and audio that tests write to their like."""

from pathlib import Path

import pytest
from corpora import write_tone

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"there is no {CASES}: samples lie beside the checkout")


def tones(folder: Path, *names: str) -> list[str]:
    """Half a second of sound in each of these files; returns their paths."""
    return [write_tone(folder / name) for name in names]
