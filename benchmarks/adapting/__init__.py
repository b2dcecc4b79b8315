"""Adapters: their speed, on CPUs and GPUs, and what settings cost."""
