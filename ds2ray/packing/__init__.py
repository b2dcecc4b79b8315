"""Packing corpora into Parquet files that hold the audio: jobs/prepare.py."""
