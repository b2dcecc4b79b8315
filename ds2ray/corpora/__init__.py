"""Corpora as they are published: a file per format, and which format a corpus has."""
