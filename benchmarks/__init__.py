"""Benchmarks: each prints one JSON line, and takes both sides of every comparison in the same run."""
