"""Train the adapters of all users whose data changed: `python jobs/adapt_users.py --help`."""

from ds2ray.config import AdaptJob
from launch import run_job


def main(job: AdaptJob) -> int:
    from ds2ray.commands.adapt_users import run  # imports torch and Ray

    return run(job)


if __name__ == "__main__":
    run_job(
        "adapt_users",
        AdaptJob,
        main,
        description=(
            "Train one adapter against the frozen base for every user of the table who is new or whose data changed, "
            "and publish those that are no worse than what the user has. Run it again to do what is unfinished."
        ),
    )
