"""The figures of a run while it goes on, for Ray's metrics."""
