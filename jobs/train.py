"""Train a base from scratch, fine-tune it, or train one user's adapter: `python jobs/train.py --help`."""

from ds2ray.config import TrainJob
from launch import run_job


def main(job: TrainJob) -> int:
    from ds2ray.commands.train import run  # imports torch and Ray

    return run(job)


if __name__ == "__main__":
    run_job(
        "train",
        TrainJob,
        main,
        description=(
            "Train a base model. From scratch where neither of these is given, fine-tuning all weights of "
            "train.pretrained_model_path, or training one user's adapter on train.base_model_path."
        ),
    )
