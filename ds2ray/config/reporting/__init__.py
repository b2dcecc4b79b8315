"""The settings of the reports of runs."""
