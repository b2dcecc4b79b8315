"""Training of a base: the epoch loop, its data, its checkpoints and its reports."""
