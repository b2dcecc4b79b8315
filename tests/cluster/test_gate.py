"""The gate of a fleet run: a new adapter against the one that the user has."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from damage import rewrite_record
from fleet_runs import RandomBase, adapt_users, changed_outcomes, job_of, spoken, write_users

from ds2ray.commands import adapt_users as adapt
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import AdapterPointer, Store, read_pointer
from ds2ray.store.outcomes import Status
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.judging.split import CROSS_VALIDATED, split_rule

GOOD: dict[str, Any] = {"num_epochs": 10, "learning_rate": 0.02}
"""Enough to learn an easy user by heart."""

WEAK: dict[str, Any] = {"num_epochs": 1, "learning_rate": 1e-4}
"""Lowers the loss, and changes nothing that is recognised."""


@pytest.fixture(scope="module")
def easy(small_corpus: DemoCorpus) -> list[Utterance]:
    """A user who always says the same: what even a random base can be taught."""
    return [replace(utterance, transcript="a") for utterance in spoken(small_corpus)["fiona"]]


def publish_good(root: str, folder: Path, utterances: Sequence[Utterance], **changed: Any) -> AdapterPointer:
    users = write_users(str(folder / "first.csv"), {"fiona": utterances})
    code, trained = adapt_users(root, users, "first", **GOOD, **changed)
    assert (code, trained["fiona"].status) == (0, Status.adapted)
    pointer = read_pointer(Store(root), "fiona")
    assert pointer is not None
    assert (pointer.error_before, pointer.error_after) == (1.0, 0.0)
    return pointer


def test_a_good_adapter_is_not_replaced_by_a_weak_one(
    ray_cluster: str, random_base: RandomBase, easy: list[Utterance], tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    ordinary = write_users(str(tmp_path / "ordinary.csv"), {"base": easy})
    good = publish_good(root, tmp_path, easy, anchor_manifest=ordinary)
    row = changed_outcomes(root, "first")["fiona"]
    assert (good.anchor_error_before, good.anchor_error_after) == (1.0, 0.0)  # ordinary speech is the user's here
    assert (row.anchor_error_before, row.anchor_error_after) == (1.0, 0.0)
    users = write_users(str(tmp_path / "again.csv"), {"fiona": easy})
    num_layers = random_base.base.model.shape.num_stages
    for after_layer in (-1, num_layers):  # two names of one place
        run_id = f"weak-after-{after_layer}"
        job = job_of(root, users, run_id, force=True, **WEAK)
        assert adapt.run(replace(job, adapter=replace(job.adapter, after_layer=after_layer))) == 0
        row = changed_outcomes(root, run_id)["fiona"]
        assert (row.status, row.version) == (Status.kept_previous, "")
        assert row.reason == "held-out WER 100.0% is worse than the current adapter's 0.0%"
        assert read_pointer(Store(root), "fiona") == good


def test_a_user_who_grows_is_not_judged_by_what_the_adapter_has_learned_by_heart(
    ray_cluster: str, random_base: RandomBase, easy: list[Utterance], tmp_path: Path
) -> None:
    """An adapter that is no use for new speech, but knows all of the old, gives way to one that is no worse."""
    root = random_base.publish(str(tmp_path / "store"))
    few: dict[str, Any] = {"cross_validate_below": len(easy)}
    first = publish_good(root, tmp_path, easy[:-1], **few)
    assert first.split == CROSS_VALIDATED
    uri = f"{root}/users/fiona/current.json"
    rewrite_record(uri, {"error_after": first.error_before})
    users = write_users(str(tmp_path / "grown.csv"), {"fiona": easy})
    code, trained = adapt_users(root, users, "grown", **WEAK, **few)
    assert (code, trained["fiona"].status, trained["fiona"].reason) == (0, Status.adapted, "")
    second = read_pointer(Store(root), "fiona")
    assert second is not None
    assert second.split == split_rule(len(easy), job_of(root, users, **few).adapt)
    assert (first.num_utterances, second.num_utterances) == (len(easy) - 1, len(easy))
