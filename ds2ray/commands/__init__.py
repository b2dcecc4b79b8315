"""What each job does, from its settings to its exit code."""
