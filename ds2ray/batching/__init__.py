"""Which utterances share a batch and a step, and batches of them."""
