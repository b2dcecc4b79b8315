"""Train a base on everybody's speech: `python examples/train_base.py`."""

from ds2ray.commands import train
from ds2ray.config import StorageConfig, TrainConfig, TrainJob


def main() -> None:
    job = TrainJob(
        train=TrainConfig(manifest="train.csv", valid_manifest="valid.csv", output_dir="outputs"),
        storage=StorageConfig(root="./store"),
    )
    code = train.run(job)  # prints its progress; outputs/model.pt, and the newest base of the store
    assert code == 0


if __name__ == "__main__":
    main()
