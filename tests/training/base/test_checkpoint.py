"""Checkpoints: which are kept, which is read, and writing while training goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.errors import ArtifactCorruptError, InputError, StorageError
from ds2ray.training.base.checkpoint import (
    CheckpointWriter,
    best_entry,
    entries_to_keep,
    load_best,
    load_latest,
    save_checkpoint,
)


def entry(step: int, error: float | None = None, settings: str = "s") -> dict[str, Any]:
    return {
        "name": f"{settings}{step}",
        "step": step,
        "error": None if error is None else [error],
        "settings": settings,
    }


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name[:9]) for path in folder.glob("*.pt"))


def state(number: float) -> dict[str, Any]:
    return {"number": torch.tensor([number]), "nested": [{"text": "a", "none": None}]}


def never(line: str) -> None:
    raise AssertionError(line)


ERRORS = st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=20)


@given(ERRORS, st.integers(1, 4))
def test_kept_are_the_newest_and_the_best(errors: list[float | None], keep: int) -> None:
    kept: list[dict[str, Any]] = []
    for step, error in enumerate(errors):
        kept = entries_to_keep([*kept, entry(step, error)], keep)
    newest = list(range(len(errors)))[-keep:]
    judged = [(error, step) for step, error in enumerate(errors) if error is not None]
    best = [min(judged)[1]] if judged else []
    assert [each["step"] for each in kept] == sorted({*newest, *best})


def test_what_went_further_under_the_same_settings_is_left_over() -> None:
    entries = [entry(3), entry(9, 0.1), entry(9, 0.1, "other"), entry(4, 0.5)]
    assert [each["name"] for each in entries_to_keep(entries, 3)] == ["s3", "other9", "s4"]
    assert best_entry(entries, "other") == entries[2]
    assert best_entry(entries[:1], "s") is None


def test_of_other_settings_the_newest_and_the_best_are_kept() -> None:
    entries = [entry(1, 0.1, "a"), entry(2, 0.3, "a"), entry(3, 0.2, "a"), entry(4, None, "b"), entry(5, None, "b")]
    for step in range(1, 9):
        entries = entries_to_keep([*entries, entry(step)], 2)
    assert [each["name"] for each in entries] == ["a1", "a3", "b5", "s7", "s8"]
    back = entries_to_keep([*entries, entry(4, 0.5, "a")], 1)
    assert [each["name"] for each in back] == ["a1", "b5", "s8", "a4"]
    twin = {**entry(8, None, "c"), "name": "s8"}  # the same state: one file
    assert entries_to_keep([entry(8), twin], 1) == [entry(8), twin]


def test_checkpoints_of_other_settings_are_told_of_and_stay(tmp_path: Path) -> None:
    save_checkpoint(str(tmp_path), 30, state(30), "a", keep=1, error=[0.5])
    said: list[str] = []
    assert load_latest(str(tmp_path), "b", said.append) is None
    (line,) = said
    assert line.startswith(f"starting afresh: the checkpoints in {tmp_path} (the newest after step 30) are of other ")
    assert all(name in line for name in ("train.pretrained_model_path=", "train.output_dir"))
    for step in range(4):
        save_checkpoint(str(tmp_path), step, state(step), "b", keep=1)
    assert steps(tmp_path) == [3, 30]
    for settings, number in (("a", 30), ("b", 3)):
        loaded = load_latest(str(tmp_path), settings, never)  # it goes on: there is nothing to tell
        assert loaded is not None
        assert loaded["number"].item() == number


def test_newest_and_best_are_read(tmp_path: Path) -> None:
    for step, error in enumerate([0.5, 0.2, 0.3, None]):
        save_checkpoint(str(tmp_path), step, state(step), "s", keep=1, error=None if error is None else [error, 9.0])
    assert steps(tmp_path) == [1, 3]
    newest, best = load_latest(str(tmp_path), "s", never), load_best(str(tmp_path), "s")
    assert newest is not None
    assert best is not None
    assert (newest["number"].item(), best["number"].item()) == (3, 1)
    assert newest["nested"] == state(0)["nested"]
    assert load_best(str(tmp_path), "other") is None
    assert load_latest(str(tmp_path / "nothing"), "s", never) is None


def test_damaged_and_missing_ones_are_passed_over_aloud(tmp_path: Path) -> None:
    uris = [save_checkpoint(str(tmp_path), step, state(step), "s", keep=4) for step in range(4)]
    Path(uris[3]).write_bytes(b"damaged")
    Path(uris[2]).unlink()
    said: list[str] = []
    loaded = load_latest(str(tmp_path), "s", said.append)
    assert loaded is not None
    assert loaded["number"].item() == 1
    assert [line.split(": ")[:2] for line in said] == [
        [f"checkpoint {uris[3]}", "is damaged"],
        [f"checkpoint {uris[2]}", "is missing; trying the one before"],
    ]


def test_if_none_is_intact_nothing_starts_afresh_by_itself(tmp_path: Path) -> None:
    for step in range(2):
        Path(save_checkpoint(str(tmp_path), step, state(step), "s", keep=2)).write_bytes(b"damaged")
    with pytest.raises(ArtifactCorruptError, match=r"no checkpoint is left.*000000001.*000000000.*train\.resume=false"):
        load_latest(str(tmp_path), "s", lambda line: None)


class TestWriter:
    def test_the_state_is_that_of_the_moment(self, tmp_path: Path) -> None:
        current = state(1)
        with CheckpointWriter(str(tmp_path), "s", keep=2) as writer:
            for step in range(1, 6):
                writer.save(step, current)
                current["number"] += 1  # as an optimizer would
            assert writer.busy or steps(tmp_path)[-1] == 5
        loaded = load_latest(str(tmp_path), "s", never)
        assert loaded is not None
        assert loaded["number"].item() == 5
        assert steps(tmp_path) == [4, 5]
        assert not writer.busy

    def test_an_error_is_raised_at_the_next_checkpoint_or_the_end(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        broken = str(tmp_path / "file" / "checkpoints")
        with pytest.raises(StorageError, match="cannot write"), CheckpointWriter(broken, "s", keep=1) as writer:
            writer.save(1, state(1))
        with CheckpointWriter(broken, "s", keep=1) as writer:
            writer.save(1, state(1))
            with pytest.raises(StorageError, match="cannot write"):
                writer.save(2, state(2))

    def test_it_does_not_hide_what_ended_training(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")

        def train() -> None:
            with CheckpointWriter(str(tmp_path / "file"), "s", keep=1) as writer:
                writer.save(1, state(1))
                raise InputError("mine")

        with pytest.raises(InputError, match="mine"):
            train()


def test_the_list_of_checkpoints_is_readable(tmp_path: Path) -> None:
    uri = save_checkpoint(str(tmp_path), 7, state(7), "s", keep=1, error=[0.25, 1.5])
    listed = json.loads((tmp_path / "latest.json").read_text())["checkpoints"]
    assert [(each["name"], each["step"], each["error"]) for each in listed] == [(Path(uri).name, 7, [0.25, 1.5])]
    assert listed[0]["size_bytes"] == Path(uri).stat().st_size
