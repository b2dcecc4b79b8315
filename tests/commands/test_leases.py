"""What jobs do about a lease that another one holds: they end with 75 and change nothing, or wait."""

from dataclasses import replace
from pathlib import Path

import pytest
from fleet_runs import RandomBase, job_of, spoken, write_users
from preparing import prepare
from train_jobs import *  # noqa: F403
