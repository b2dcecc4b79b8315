"""What jobs do about a lease that another one holds: they end with 75 and change nothing, or wait."""

from train_jobs import *  # noqa: F403
