"""DeepSpeech2, the adapter, their weights, and how both are opened from files and from the store."""
