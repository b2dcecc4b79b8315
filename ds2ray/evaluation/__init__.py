"""Evaluations: errors of systems by group, with intervals and paired tests, as table, document and page; no torch."""
