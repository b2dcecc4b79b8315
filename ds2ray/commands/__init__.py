"""The work of each job, from its settings to its exit code."""
