"""Formats of audio files: how each is decoded, and where its headers cannot be trusted."""
