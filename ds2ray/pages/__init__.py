"""Pages for a browser: what those of a run and of training data share."""
