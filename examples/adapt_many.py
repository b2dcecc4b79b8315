"""Train the adapters of all users whose speech has changed, on Ray: `python examples/adapt_many.py`."""

from ds2ray.commands import adapt_users
from ds2ray.config import AdapterConfig, AdaptJob, StorageConfig
from ds2ray.store import Store
from ds2ray.store.outcomes import read_outcomes


def main() -> None:
    job = AdaptJob(
        users="users.csv",  # user_id,manifest
        run_id="tonight",
        adapter=AdapterConfig(hidden_dims=[64]),
        storage=StorageConfig(root="./store"),
    )
    code = adapt_users.run(job)
    assert code == 0
    for outcome in read_outcomes(Store("./store"), "tonight"):
        print(outcome.user_key, outcome.status.value, outcome.error_before, outcome.error_after, outcome.reason)


if __name__ == "__main__":
    main()
