"""Training of a base, of one adapter and of many adapters at once: torch, no Ray."""
