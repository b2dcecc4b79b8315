"""The demo's corpus: sentences of a grammar, spoken by espeak-ng."""
