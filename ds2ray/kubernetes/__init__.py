"""Kubernetes: the pod of a CronJob that starts a night's RayJob, watches it, and ends as it ends."""
