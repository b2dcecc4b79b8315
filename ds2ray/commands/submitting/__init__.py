"""What jobs/submit.py does: a job of a cluster, submitted once, followed and stopped."""
