"""A run of a fleet that has come to its end, written as a run writes it, without training: adapters are bytes."""

from kept_store import publish

from ds2ray.commands.planning import make_plan
from ds2ray.commands.wanted import wanted_base
from ds2ray.config import AdaptJob
from ds2ray.fleet.plan import plan_table
from ds2ray.store import Store
from ds2ray.store.index import close_run, open_run
from ds2ray.store.layout import plan_uri
from ds2ray.store.outcomes import Outcome, Status, write_part


def finish_run(job: AdaptJob, run_id: str) -> list[str]:
    """Publish for every user whom the job would train, and settle them; returns their keys."""
    store = Store.of(job.storage)
    plan = make_plan(job, store, wanted_base(job, store))
    open_run(store, run_id)
    store.write_table(plan_uri(store, run_id), plan_table(plan))
    rows = []
    for user in plan.users:
        pointer = publish(store, user.user_key, f"{user.user_key} in {run_id}".encode(), run_id)
        rows.append(
            Outcome(
                user_key=user.user_key,
                status=Status.adapted,
                version=pointer.version,
                sha256=pointer.sha256,
                fingerprint=user.fingerprint,
            )
        )
    write_part(store, run_id, "settled", rows)
    close_run(store, run_id, rows)
    return [row.user_key for row in rows]
