"""The verbs of jobs/store.py: what each takes, does and prints."""
