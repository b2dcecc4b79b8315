"""Faults by the thousand."""
