"""The reports of runs: the page that a run leaves, and jobs/report.py."""
