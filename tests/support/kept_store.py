"""A store with a few users and nights, without torch: adapters are bytes, and runs are written as jobs write them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ds2ray import storage, store
from ds2ray.config import PackBy
from ds2ray.packs.dropped import write_dropped
from ds2ray.packs.files import content_version, encode_pack
from ds2ray.packs.ledger import Ledger, Packed
from ds2ray.packs.tables import FOLDER, write_manifest, write_users
from ds2ray.store import AdapterPointer, BaseRecord, OwnWord, Store, lease
from ds2ray.store.index import close_run, open_run
from ds2ray.store.layout import plan_uri, summary_uri
from ds2ray.store.leases.identity import Identity
from ds2ray.store.outcomes import Outcome, Status, write_part
from ds2ray.store.records import SUMMARY, write_record
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.problems import Problem, ProblemKind

FINGERPRINT = "b" * 64
BASE_ID = FINGERPRINT[:16]


def publish(place: Store, key: str, weights: bytes, run_id: str) -> AdapterPointer:
    return store.publish_adapter(
        place,
        key,
        weights,
        base_fingerprint=FINGERPRINT,
        data_fingerprint=fingerprint(key, run_id),
        adapter={"hidden_dims": [32]},
        run_id=run_id,
        error_before=0.5,
        error_after=0.25,
    )


def fingerprint(key: str, run_id: str) -> str:
    """Of the speech that a user had in a run."""
    return f"speech of {key} in {run_id}"


def night(place: Store, run_id: str, weights: Mapping[str, bytes], *, others: Mapping[str, str] | None = None) -> None:
    """A run that publishes these weights by user key.

    Args:
        others: reasons of users who failed.
    """
    open_run(place, run_id)
    keys = [*weights, *(others or {})]
    changes = {"user_key": keys, "change": ["changed"] * len(keys), "fingerprint": [""] * len(keys)}
    place.write_table(plan_uri(place, run_id), pa.table(changes))
    rows = []
    for key, data in weights.items():
        pointer = publish(place, key, data, run_id)
        rows.append(
            Outcome(
                user_key=key,
                status=Status.adapted,
                version=pointer.version,
                sha256=pointer.sha256,
                fingerprint=fingerprint(key, run_id),
            )
        )
    rows += [Outcome(user_key=key, status=Status.failed, reason=reason) for key, reason in (others or {}).items()]
    write_part(place, run_id, "000000-0000", rows[:1])
    write_part(place, run_id, "settled", rows)
    close_run(place, run_id, rows)
    failures = {row.reason: 1 for row in rows if row.status is Status.failed}
    summary = {"run_id": run_id, "base_fingerprint": FINGERPRINT, "failures": failures}
    write_record(place, summary_uri(place, run_id), SUMMARY, summary)


def publish_base(place: Store) -> None:
    weights = b"weights of the base"
    record = BaseRecord(
        base_id=BASE_ID,
        fingerprint=FINGERPRINT,
        sha256=store.sha256(weights),
        size_bytes=len(weights),
        model={},
        audio={},
        vocabulary={},
        run_id="train",
        metrics={},
    )
    store.publish_base(place, weights, record)


def two_nights(root: str) -> Store:
    """alice and bob were adapted twice, carol in the second night for the first time; dave fails; alice has words."""
    place = Store(root)
    publish_base(place)
    night(place, "first", {"alice": b"alice one", "bob": b"bob one"})
    night(
        place,
        "second",
        {"alice": b"alice two", "bob": b"bob two", "carol": b"carol one"},
        others={"dave": "his manifest s3://speech/dave.csv cannot be read"},
    )
    store.publish_words(place, "alice", [OwnWord("anna")])
    store.publish_words(place, "alice", [OwnWord("anna"), OwnWord("new york")])
    return place


def content(root: str | Path, *, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    """All files below a folder, leftovers too, by their names; but for records of leases, which each verb writes.

    Args:
        without: beginnings of names that are left out.
    """
    top = str(root)
    names = {found.uri.removeprefix(f"{top}/"): found.uri for page in storage.walk(top) for found in page}
    return {
        name: Path(uri).read_bytes()
        for name, uri in names.items()
        if not name.startswith(without or ("\0",)) and "lease.json" not in name
    }


def copied(source: str, target: str) -> Store:
    """A copy of a store on a local disk."""
    import shutil

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return Store(target)


def packed(folder: str, by: PackBy) -> None:
    """Packs of alice, bob and carol, as prepare writes them: one each, or two shards, alice and bob in one."""
    speech = {
        user: Utterance(f"{user}-1", user, f"audio of {user}".encode(), 1.0, f"words of {user}", 1)
        for user in ("alice", "bob", "carol")
    }
    groups = {"alice": ["alice"], "bob": ["bob"], "carol": ["carol"]}
    if by is PackBy.shard:
        groups = {"shard-00000": ["alice", "bob"], "shard-00001": ["carol"]}
    ledger = Ledger(storage.join(folder, FOLDER[by]))
    rows = []
    for name, users in groups.items():
        own = [speech[user] for user in users]
        row = Packed(
            name=name,
            source=f"source of {name}" if by is PackBy.shard else "s" * 32,
            version=content_version(own),
            num_utterances=len(own),
            speech_s=float(len(own)),
            size_bytes=10,
        )
        storage.write_bytes(storage.join(ledger.folder_uri, row.file_name), encode_pack(own))
        rows.append(row)
    ledger.close(rows)
    write_dropped(
        storage.join(folder, "dropped.csv"),
        [Problem("corpus.csv", 3, ProblemKind.audio, "audio", "'x.wav'", "is empty", "record it", "a-9", "alice")],
    )
    if by is PackBy.user:
        write_users(folder, rows, {user: user for user in speech})
    else:
        write_manifest(folder, rows)


ELSEWHERE = Identity(boot="another-boot", namespace="pid:[1]", process_id=1, started=1, host="another-machine")


def held_elsewhere(place: Store, run_id: str) -> None:
    """Let a run on another machine hold the lease."""
    lease.acquire_lease(place, run_id, here=ELSEWHERE)


def comparable(files: Mapping[str, bytes]) -> dict[str, object]:
    """Files of a store, records without what differs where the lease was taken more often: fences, and checksums."""
    return {name: _unnumbered(json.loads(data)) if name.endswith(".json") else data for name, data in files.items()}


def _unnumbered(value: Any) -> Any:
    if isinstance(value, list):
        return [_unnumbered(item) for item in value]
    if isinstance(value, dict):
        return {name: _unnumbered(item) for name, item in value.items() if name not in ("fence", "checksum")}
    return value
