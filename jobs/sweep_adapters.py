"""Compare adapter shapes on a few users: `python jobs/sweep_adapters.py --help`."""

from ds2ray.config import SweepJob
from launch import run_job


def main(job: SweepJob) -> int:
    from ds2ray.commands.sweep_adapters import run  # imports torch and Ray

    return run(job)


if __name__ == "__main__":
    run_job(
        "sweep_adapters",
        SweepJob,
        main,
        description=(
            "Train adapters of several shapes for a few users of the table, and show the held-out error of each shape "
            "beside its size."
        ),
    )
