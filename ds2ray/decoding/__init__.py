"""Decoders, from log-probabilities to token ids, and the errors of decoded rows."""
