"""Batches of utterances, and the plan of an epoch: which utterances share a batch and a step."""
