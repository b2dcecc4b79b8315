"""An export that came out empty is a mistake, unless the settings say that it may be; one bad user stops no job."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fleet_runs import RandomBase, job_of
from table_cases import CASES, needs_cases

from ds2ray import Transcriber, storage
from ds2ray.commands import adapt_users, prepare, transcribe
from ds2ray.config import BadRows, DataConfig, PrepareJob, StorageConfig, TranscribeJob
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import InputError
from ds2ray.tables.manifest import read_manifest, write_manifest

HEADER = "utterance_id,user_id,audio,duration_s,transcript\n"
EMPTY = DataConfig(allow_empty=True)


@pytest.fixture
def empty(tmp_path: Path) -> str:
    (tmp_path / "empty.csv").write_text(HEADER)
    return str(tmp_path / "empty.csv")


@needs_cases
def test_the_sample_is_such_a_table(empty: str) -> None:
    assert (CASES / "tables" / "empty.csv").read_text() == Path(empty).read_text()


def test_no_user_is_adapted(empty: str, random_base: RandomBase, tmp_path: Path) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    for dry_run in (True, False):
        job = replace(job_of(root, empty), dry_run=dry_run)
        with pytest.raises(InputError, match="empty.csv: the table has no rows; .*data.allow_empty=true") as caught:
            adapt_users.run(job)
        assert caught.value.exit_code == 2
        assert adapt_users.run(replace(job, data=EMPTY)) == 0


def test_nothing_is_packed(empty: str, tmp_path: Path) -> None:
    job = PrepareJob(source=empty, output=str(tmp_path / "packed"))
    with pytest.raises(InputError, match="the table has no rows"):
        prepare.run(job)
    assert prepare.run(replace(job, data=EMPTY)) == 0
    assert not (tmp_path / "packed").exists()


def test_nothing_is_recognised(empty: str, random_base: RandomBase) -> None:
    job = TranscribeJob(manifest=empty, storage=StorageConfig(root=random_base.root))
    with pytest.raises(InputError, match="the table has no rows"):
        transcribe.run(job)
    assert transcribe.run(replace(job, data=EMPTY)) == 0


def test_a_user_whose_name_cannot_be_stops_nobody_else(
    random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    first, *others = read_manifest(small_corpus.test_manifest).utterances
    table = str(tmp_path / "all.parquet")
    write_manifest(table, [replace(first, user_id="홍" * 23), *others], audio_relative=False)
    job = replace(job_of(root, table), dry_run=True)
    with pytest.raises(InputError, match="takes 207 bytes"):
        adapt_users.run(job)
    assert adapt_users.run(replace(job, data=DataConfig(bad_rows=BadRows.drop))) == 0
    assert "bad rows, left out: 1" in capsys.readouterr().out
    transcriber = Transcriber.open(root)
    (hypothesis,) = transcriber.transcribe_utterances([replace(first, user_id="홍" * 23)])
    assert "takes 207 bytes" in hypothesis.note
    assert hypothesis.error == ""


def test_a_fleet_in_a_file_uri_with_a_blank(random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path) -> None:
    folder = tmp_path / "my fleet 100%"
    folder.mkdir()
    root = random_base.publish(str(folder / "store"))
    shutil.copy(small_corpus.test_manifest, folder / "all.csv")
    write_manifest(str(folder / "all.csv"), read_manifest(small_corpus.test_manifest).utterances, audio_relative=False)
    uri = f"file://{tmp_path}/my%20fleet%20100%25"
    job = replace(job_of(f"{uri}/store", f"{uri}/all.csv"), dry_run=True)
    assert adapt_users.run(job) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my fleet 100%"]
    assert storage.exists(f"{uri}/store/bases")
    assert storage.exists(f"{root}/bases")
