"""Random damage to every kind of file of a small store: each reading gives what it gave before, or an error of ours.

    python -m benchmarks.chaos.mutations --seed 1 --count 3000

`mutations` counts the damaged files that were read, `tracebacks` errors that are not ds2ray's or do not name the file,
`silent_corruptions` readings that gave something else, without an error and without setting the file aside. Text tables
that people write (CSV, JSON lines) hold no checksum: of them only tracebacks count.
"""

import argparse
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2ray import storage, store
from ds2ray.errors import Ds2RayError
from ds2ray.fleet.attempts import name_user, named_user
from ds2ray.model.files import load_model_file
from ds2ray.packs.files import content_version, encode_pack, pack_rows, read_shard
from ds2ray.packs.ledger import Packed
from ds2ray.packs.references import read_packed_manifest
from ds2ray.packs.tables import write_manifest, write_users
from ds2ray.store import BaseRecord, OwnWord, Store, sha256
from ds2ray.store import layout as at
from ds2ray.store.calibrations import publish_calibrations, read_calibrations
from ds2ray.store.index import close_run, open_run, read_index
from ds2ray.store.lease import acquire_lease
from ds2ray.store.leases.record import Lease, find_lease
from ds2ray.store.outcomes import Outcome, Status, read_outcomes, read_part, write_part
from ds2ray.store.own_words import read_words_index, write_words_index
from ds2ray.store.records import SUMMARY, read_record, write_record
from ds2ray.store.recovery.marks import run_marks
from ds2ray.tables.manifest import Utterance, read_manifest
from ds2ray.tables.manifest import write_manifest as write_table
from ds2ray.training.base.checkpoint import load_latest, save_checkpoint

MODEL_FILE = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "stored" / "model.pt"
COUNT = 3000
LARGEST_BLOCK = 400  # bytes that one mutation touches


@dataclass(frozen=True)
class File:
    """A file, and what is read out of it. Files that are not `sealed` are written by people, and hold no checksum."""

    path: Path
    read: Callable[[], Any]
    sealed: bool = True


def mutations(seed: int, count: int = COUNT) -> dict[str, int]:
    """Damage files `count` times and read each; the figures `mutations`, `tracebacks` and `silent_corruptions`."""
    return dict(damaged(seed, count)[0])


def damaged(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """As `mutations`, and a line for each traceback and each silent change."""
    draw, figures, told = random.Random(seed), Counter(mutations=0, tracebacks=0, silent_corruptions=0), []
    folder = Path(tempfile.mkdtemp())
    try:
        files = small_store(folder)
        whole = {file.path: file.path.read_bytes() for file in files}
        expected = [file.read() for file in files]
        for number in range(count):
            place = number % len(files)
            file = files[place]
            data, what = mutated(whole[file.path], draw)
            file.path.write_bytes(data)
            fault = _fault(file, expected[place])
            file.path.write_bytes(whole[file.path])
            figures["mutations"] += 1
            if fault:
                figures[fault.partition(":")[0]] += 1
                told.append(f"{file.path.relative_to(folder)} ({what}): {fault}")
    finally:
        shutil.rmtree(folder)
    return figures, told


def mutated(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """The data with damage to one place of it, and what that is."""
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.randint(1, min(LARGEST_BLOCK, max(1, len(data) // 3))))
    kind = draw.choice(("flip", "byte", "delete", "insert", "truncate", "zero", "duplicate"))
    match kind:
        case "flip":
            middle, end = bytes([data[start] ^ 1 << draw.randrange(8)]), start + 1
        case "byte":
            middle, end = bytes([draw.randrange(256)]), start + 1
        case "delete":
            middle = b""
        case "insert":
            middle = draw.randbytes(end - start) + data[start:end]
        case "truncate":
            middle, end = b"", len(data)
        case "zero":
            middle = bytes(end - start)
        case _:
            middle = data[start:end] * 2
    return data[:start] + middle + data[end:], f"{kind} {start}-{end}"


def _fault(file: File, expected: Any) -> str:
    """What is wrong with how a damaged file is read; empty where nothing is."""
    try:
        found = file.read()
    except (Ds2RayError, FileNotFoundError) as error:
        return "" if file.path.name in str(error) else f"tracebacks: does not name the file: {error}"
    except Exception as error:
        return f"tracebacks: {error!r}"
    told = not file.sealed or not file.path.exists()  # or set aside
    return "" if told or found == expected else f"silent_corruptions: {found!r:.300}"


def small_store(folder: Path) -> list[File]:
    """Write a store, packs, tables, a checkpoint and a model.pt into the folder; each file, and its reading."""
    place = Store(str(folder / "store"))
    return [*_bases(place), *_users(place), *_runs(place), *_packs(folder / "packs"), *_tensors(folder)]


def _bases(place: Store) -> list[File]:
    weights, fingerprint = b"weights of a base" * 20, sha256(b"base")
    base_id = fingerprint[:16]
    record = BaseRecord(
        base_id=base_id,
        fingerprint=fingerprint,
        sha256=sha256(weights),
        size_bytes=len(weights),
        model={"name": "deepspeech2", "hidden": 8},
        audio={"sample_rate_hz": 16000},
        vocabulary={"symbols": ["a", "b", "한"]},
        run_id="first",
        metrics={"wer": 0.25},
    )
    folder = store.publish_base(place, weights, record)
    described: dict[str, Any] = {"unit": "words", "num_ngrams": (3, 2), "num_sentences": 5, "perplexity": 7.5}
    model = store.publish_language_model(place, base_id, b"packed" * 50, **described)
    publish_calibrations(place, base_id, {"greedy": {"slope": 1.5, "intercept": 0.25}})
    return [
        File(Path(at.newest_base_uri(place)), lambda: store.read_base(place)),
        File(Path(at.base_record_uri(folder)), lambda: store.read_base(place, base_id)),
        File(Path(at.base_weights_uri(folder)), lambda: store.read_base(place, base_id)),
        File(Path(at.language_model_record_uri(folder)), lambda: store.read_language_model(place, base_id)),
        File(Path(at.language_model_uri(folder, model.version)), lambda: store.read_language_model(place, base_id)),
        File(Path(at.calibrations_uri(folder)), lambda: read_calibrations(place, base_id)),
    ]


def _users(place: Store) -> list[File]:
    for weights in (b"first" * 60, b"second" * 60):
        pointer = store.publish_adapter(
            place,
            "ann",
            weights,
            base_fingerprint=sha256(b"base"),
            data_fingerprint=sha256(weights)[:32],
            adapter={"hidden_dims": [8]},
            run_id="first",
            error_before=0.5,
            error_after=0.25,
            split="hold_out:0.2:0",
        )
    words = store.publish_words(place, "ann", [OwnWord("Jörg"), OwnWord("Zürich", 2.0)])
    write_words_index(place, {f"user{number}": sha256(bytes([number]))[:16] for number in range(40)})
    return [
        File(Path(at.pointer_uri(place, "ann")), lambda: store.read_pointer(place, "ann")),
        File(Path(at.pointer_uri(place, "ann")), lambda: store.history(place, "ann")),
        File(Path(at.adapter_weights_uri(place, "ann", pointer.version)), lambda: store.read_adapter(place, pointer)),
        File(Path(at.own_words_record_uri(place, "ann")), lambda: store.read_words_record(place, "ann")),
        File(Path(at.own_words_uri(place, "ann", words.version)), lambda: store.read_words(place, words)),
        File(Path(at.words_index_uri(place)), lambda: read_words_index(place)),
    ]


def _runs(place: Store) -> list[File]:
    import pyarrow as pa

    outcomes = [
        Outcome(user_key=f"user{i}", status=Status.adapted, error_before=i / 40, fingerprint=sha256(bytes([i]))[:32])
        for i in range(40)
    ]
    open_run(place, "first")
    write_part(place, "first", "000000-0000", outcomes)
    close_run(place, "first", outcomes)
    write_record(place, at.summary_uri(place, "first"), SUMMARY, {"run_id": "first", "users": 40, "failures": {}})
    plan = pa.table({"user_key": [f"user{i}" for i in range(40)], "change": ["new"] * 40})
    place.write_table(at.plan_uri(place, "first"), plan)
    open_run(place, "second")
    name_user(place, "second", 3, 2, "ann")
    acquire_lease(place, "second")
    summary = at.summary_uri(place, "first")
    return [
        File(Path(at.index_uri(place)), lambda: read_index(place)),
        File(Path(at.outcomes_part_uri(place, "first", "000000-0000")), lambda: read_outcomes(place, "first")),
        File(
            Path(at.outcomes_part_uri(place, "first", "000000-0000")), lambda: read_part(place, "first", "000000-0000")
        ),
        File(Path(at.plan_uri(place, "first")), lambda: place.read_table(at.plan_uri(place, "first"))),
        File(Path(summary), lambda: read_record(place, dict, summary, kind=SUMMARY, bound={"run_id": "first"})),
        File(Path(at.run_mark_uri(place, "second")), lambda: _marks(place)),
        File(Path(at.attempt_uri(place, "second", 3)), lambda: named_user(place, "second", 3, 2)),
        File(Path(at.lease_uri(place)), lambda: _lease(place)),
    ]


def _lease(place: Store) -> Lease | None:
    """The lease; who wants to take a damaged one waits until it does not change any more, and then replaces it."""
    found = find_lease(at.lease_uri(place), place.server)
    if found.is_damaged:
        raise Ds2RayError(f"{at.lease_uri(place)}: is damaged")
    return found.lease


def _marks(place: Store) -> list[tuple[str, int]]:
    """The marks of runs; a damaged one is told with its file, and its run is recovered all the same."""
    marks = run_marks(place)
    if damage := next((mark.damage for mark in marks if mark.damage), ""):
        raise Ds2RayError(damage)
    return [(mark.run_id, mark.order) for mark in marks]


def _packs(folder: Path) -> list[File]:
    draw = random.Random(0)
    utterances = [Utterance(f"u{i}", "ann", draw.randbytes(300), 1.0 + i, f"sentence {i}", i + 1) for i in range(6)]
    version = content_version(utterances)
    packed = Packed(name="ann", source="s", version=version, num_utterances=6, speech_s=20.0, size_bytes=1800)
    pack = folder / "users" / packed.file_name
    shard = folder / "shards" / packed.file_name
    for path in (pack, shard):
        storage.write_bytes(str(path), encode_pack(utterances))
    users = write_users(str(folder), [packed], {"ann": "ann"})
    manifest = write_manifest(str(folder), [packed])
    csv, lines = str(folder / "table.csv"), str(folder / "table.jsonl")
    named = [Utterance(f"u{i}", "ann", str(folder / f"{i}.wav"), 1.0, f"sentence {i}", i + 1) for i in range(6)]
    for uri in (csv, lines):
        write_table(uri, named)
    return [
        File(pack, lambda: read_manifest(str(pack)).utterances),
        File(pack, lambda: list(read_shard(str(pack), [0]))),
        File(shard, lambda: pack_rows(str(shard))),
        File(Path(users), lambda: storage.read_table(users)),
        File(Path(manifest), lambda: _references(manifest)),
        File(Path(csv), lambda: read_manifest(csv), sealed=False),
        File(Path(lines), lambda: read_manifest(lines), sealed=False),
    ]


def _references(uri: str) -> list[Utterance]:
    manifest = read_packed_manifest(uri) or read_manifest(uri)
    return manifest.utterances


def _tensors(folder: Path) -> list[File]:
    import torch

    model = folder / "model.pt"
    model.write_bytes(MODEL_FILE.read_bytes())
    checkpoints = str(folder / "checkpoints")
    checkpoint = Path(save_checkpoint(checkpoints, 7, {"weights": torch.arange(50.0)}, "settings", 2))
    return [
        File(model, lambda: load_model_file(str(model)).fingerprint),
        File(folder / "checkpoints" / "latest.json", lambda: _state(checkpoints)),
        File(checkpoint, lambda: _state(checkpoints)),
    ]


def _state(folder: str) -> dict[str, Any] | None:
    state = load_latest(folder, "settings", lambda line: None)
    return None if state is None else {name: tensor.tolist() for name, tensor in state.items()}


def main(argv: Sequence[str] | None = None) -> None:
    from benchmarks.common import emit, say

    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.mutations", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=COUNT)
    options = parser.parse_args(argv)
    figures, told = damaged(options.seed, options.count)
    for line in told:
        say(line)
    emit("chaos_mutations", {"seed": options.seed, **figures})


if __name__ == "__main__":
    main()
