"""Utterances: tables of them, their sound, features and batches."""
