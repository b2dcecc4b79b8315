"""Training of a base: the epoch loop and what it needs."""
