"""Benchmarks: each prints one JSON line, and takes both sides of every comparison in the same run."""

import sys
from pathlib import Path

# the plain loop, which stacks are timed against, is the one that they are tested against
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "support"))
