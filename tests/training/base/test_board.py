"""TensorBoard files, wherever the output is."""

import tempfile
from pathlib import Path

import pytest
from base_training import NO_AUGMENT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from toy_speech import AUDIO, MODEL, make_utterances

from ds2ray import storage
from ds2ray.commands.train import run
from ds2ray.config import ClusterConfig, StorageConfig, TrainConfig, TrainJob
from ds2ray.errors import StorageError
from ds2ray.tables.manifest import write_manifest
from ds2ray.training.base.board import Board


def steps_of(folder_uri: str, name: str, copy: Path) -> list[int]:
    """The steps of which a value is known, from a copy of the files."""
    for info in storage.list_objects(folder_uri):
        storage.write_bytes(str(copy / info.uri.rpartition("/")[2]), storage.read_bytes(info.uri))
    board = EventAccumulator(str(copy))
    board.Reload()
    return [event.step for event in board.Scalars(name)]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which temporary ones are made."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def test_training_whose_output_is_in_a_bucket_has_them_there(s3_root: str, tmp_path: Path, temporary: Path) -> None:
    manifest = str(tmp_path / "train.csv")
    write_manifest(manifest, make_utterances(tmp_path, 12))
    job = TrainJob(
        model=MODEL,
        audio=AUDIO,
        train=TrainConfig(
            manifest=manifest, output_dir=f"{s3_root}/out", num_epochs=2, augment=NO_AUGMENT, log_every_s=0
        ),
        storage=StorageConfig(root=str(tmp_path / "store")),
        cluster=ClusterConfig(num_workers=0),
    )
    assert run(job) == 0
    assert steps_of(f"{s3_root}/out/tensorboard", "wer", tmp_path / "copy") == [1, 2]
    assert steps_of(f"{s3_root}/out/tensorboard", "steps/loss", tmp_path / "copy") == [1, 2]
    assert steps_of(f"{s3_root}/out/tensorboard", "steps/gradient_norm", tmp_path / "copy") == [1, 2]
    assert list(temporary.glob("ds2ray-*")) == []


@pytest.mark.parametrize("texts", [True, False])
def test_the_settings_are_a_table(tmp_path: Path, texts: bool) -> None:
    with Board(str(tmp_path), print) as board:
        board.describe({"train": TrainConfig(manifest="john.csv", num_epochs=7, augment=NO_AUGMENT)}, texts)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    (event,) = read.Tensors("settings/text_summary")
    rows = event.tensor_proto.string_val[0].decode().splitlines()
    assert "| train.num_epochs | 7 |" in rows
    assert f"| train.augment.num_mel_masks | {NO_AUGMENT.num_mel_masks} |" in rows
    assert ("| train.manifest | john.csv |" in rows) == texts


def test_what_was_uploaded_is_there_after_each_epoch_and_all_of_it_at_an_early_end(
    tmp_path: Path, temporary: Path
) -> None:
    root = f"memory://{tmp_path.name}"

    def interrupted() -> None:
        with Board(root, print) as board:
            board.add({"wer": 0.5}, 1)
            board.upload()
            assert steps_of(f"{root}/tensorboard", "wer", tmp_path / "first") == [1]
            board.add({"wer": 0.4}, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert steps_of(f"{root}/tensorboard", "wer", tmp_path / "all") == [1, 2]
    assert list(temporary.glob("ds2ray-*")) == []


def test_a_bucket_that_cannot_be_written_is_told_of_and_ends_nothing(s3_root: str, temporary: Path) -> None:
    said: list[str] = []
    with Board("s3://no-such-bucket/out", said.append) as board:
        board.add({"wer": 0.5}, 1)
        board.upload()
        assert len(said) == 1
        assert said[0].startswith("TensorBoard's files are not up to date: s3://no-such-bucket/out/tensorboard/")


def test_on_this_machine_they_are_written_where_they_belong(tmp_path: Path, temporary: Path) -> None:
    with Board(str(tmp_path / "out"), print) as board:
        board.add({"wer": 0.5}, 1)
        assert list(temporary.glob("ds2ray-*")) == []
        assert steps_of(str(tmp_path / "out" / "tensorboard"), "wer", tmp_path / "copy") == [1]


def test_a_folder_that_cannot_be_made_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(StorageError, match=f"{tmp_path}/outputs/tensorboard: cannot write: "):
        Board(str(tmp_path / "outputs"), print)
