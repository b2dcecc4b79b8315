"""DeepSpeech2, the adapter, decoding and weights: torch only."""
