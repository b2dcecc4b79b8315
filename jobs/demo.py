"""Speak a corpus, train a base, adapt eight users and show what they gained: `make demo`."""

from ds2ray.config import DemoJob
from launch import run_job


def main(job: DemoJob) -> int:
    from ds2ray.commands.demo import run  # imports torch and Ray

    return run(job)


if __name__ == "__main__":
    run_job(
        "demo",
        DemoJob,
        main,
        description=(
            "The whole way on two CPU cores: speak a corpus, train a base on ordinary voices, train an adapter for "
            "each of eight users who speak differently, and recognise test sentences without and with it."
        ),
    )
