"""Train the adapter of a single user, in this process and without Ray: `python examples/adapt_one.py`."""

from ds2ray.commands import train
from ds2ray.config import AdapterConfig, StorageConfig, TrainConfig, TrainJob


def main() -> None:
    job = TrainJob(
        train=TrainConfig(
            base_model_path="outputs/model.pt",
            manifest="users/john.csv",
            adapter_name="john",
            adapter_save_dir="adapters",
        ),
        adapter=AdapterConfig(hidden_dims=[64]),
        storage=StorageConfig(root="./store"),
    )
    code = train.run(job)  # adapters/john_adapter.pt, and john's adapter in the store
    assert code == 0


if __name__ == "__main__":
    main()
