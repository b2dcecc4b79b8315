"""Hypotheses as files: tables, subtitles, and the times of words."""
