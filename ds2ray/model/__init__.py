"""Acoustic models, adapters, their weights, and how both are opened from files and from the store."""
