"""Fleets: plans of a million users, the driver, several workers and nodes."""
