"""The parts of a fleet run that have an order of their own: the canary of a new base."""
