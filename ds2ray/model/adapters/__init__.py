"""Adapters, one file per kind."""
