"""Outages of a server: which failures pass, waiting for an answer, and renewing what outlasts single failures."""
