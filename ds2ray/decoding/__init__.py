"""Decoders, from log-probabilities to token ids, and the errors in what was decoded."""
