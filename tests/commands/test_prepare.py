"""Packing from corpus to tables: what is stored, and what a further run leaves alone."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from corpora import write_tone, write_users
from preparing import DROP, edit, files, packed_users, prepare

from ds2ray import storage
from ds2ray.commands.prepare import run
from ds2ray.config import PackBy, PrepareConfig, PrepareJob
from ds2ray.errors import ConfigError, InterruptedRunError
from ds2ray.packs.files import content_version, read_shard
from ds2ray.store import Store
from ds2ray.store.lease import held
from ds2ray.tables.manifest import read_manifest

SHARDS = PrepareConfig(by=PackBy.shard, shard_mb=0.02)


def test_source_and_output_have_to_be_given_and_differ(tmp_path: Path) -> None:
    for job in (PrepareJob(output="x"), PrepareJob(source="x")):
        with pytest.raises(ConfigError, match="is missing"):
            run(job)
    with pytest.raises(ConfigError, match="is the corpus itself"):
        run(PrepareJob(source=str(tmp_path), output=f"{tmp_path}/"))


class TestUsers:
    def test_audio_transcripts_and_durations_are_those_of_the_corpus(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, output = write_users(tmp_path / "in", 3), str(tmp_path / "out")
        prepare(source, output)
        given = read_manifest(source).utterances
        rows = packed_users(output)
        assert list(rows) == ["u000", "u001", "u002"]
        for user_id, row in rows.items():
            own = [u for u in given if u.user_id == user_id]
            manifest = read_manifest(storage.resolve(row["manifest"], f"{output}/users.parquet"))
            assert manifest.problems == []
            assert manifest.utterances == [
                replace(u, audio=storage.read_bytes(str(u.audio)), duration_s=0.3, line=line)
                for line, u in enumerate(own, start=1)
            ]
            assert row["version"] == content_version(manifest.utterances)
            assert row["manifest"] == f"users/{user_id}.{row['version']}.parquet"
            assert (row["num_utterances"], row["speech_s"]) == (2, 0.6)
        assert (tmp_path / "out/dropped.csv").read_text().count("\n") == 1
        out = capsys.readouterr().out
        assert "rows: 6 read = 6 packed (0.00 h) + 0 left out" in out
        assert "packs: 3 written, 0 with the content they had, 0 unchanged" in out

    def test_only_what_changed_is_written_again(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source, output = write_users(tmp_path / "in", 20), str(tmp_path / "out")
        prepare(source, output)
        before, table = files(output), packed_users(output)
        prepare(source, output)
        assert files(output) == before
        assert "packs: 0 written, 0 with the content they had, 20 unchanged" in capsys.readouterr().out

        edit(source, {"u003-0.wav,sentence 0": "u003-0.wav,another sentence", "u007-1,u007,": "u007-9,u007,"})
        write_tone(tmp_path / "in/audio/u012-0.wav", 0.3, 999, 8000)  # as long as before
        (tmp_path / "in/audio/u015-0.wav").touch()  # newer, and the same
        prepare(source, output)
        after = packed_users(output)
        assert [user for user in after if after[user] != table[user]] == ["u003", "u007", "u012"]
        assert {name: files(output).get(name) for name in before} == before
        assert len(files(output)) == 23
        assert "packs: 3 written, 1 with the content they had, 16 unchanged" in capsys.readouterr().out

    def test_superseded_packs_outlive_the_table_that_named_them_by_one_table(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 3), str(tmp_path / "out")
        (tmp_path / "out/users").mkdir(parents=True)
        (tmp_path / "out/users/notes.parquet").write_text("not ours")
        prepare(source, output)
        first = packed_users(output)
        edit(source, {"u001-0.wav,sentence 0": "u001-0.wav,hello"})
        rows = (tmp_path / "in/corpus.csv").read_text().splitlines()
        (tmp_path / "in/corpus.csv").write_text("\n".join(row for row in rows if ",u002," not in row) + "\n")
        prepare(source, output)
        second = packed_users(output)
        assert list(second) == ["u000", "u001"]
        # whoever goes by the first table still finds everything
        assert set(files(output)) == {row["manifest"] for table in (first, second) for row in table.values()}
        for _ in range(2):  # preparing again what has not changed takes nothing from anybody
            prepare(source, output)
            assert set(files(output)) == {row["manifest"] for table in (first, second) for row in table.values()}
            assert packed_users(output) == second
        edit(source, {"u000-0.wav,sentence 0": "u000-0.wav,hello"})
        prepare(source, output)
        third = packed_users(output)
        assert set(files(output)) == {row["manifest"] for table in (second, third) for row in table.values()}
        assert (tmp_path / "out/users/notes.parquet").exists()

    def test_one_run_at_a_time(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 2), str(tmp_path / "out")
        with (
            held(Store(f"{output}/users"), "nightly"),
            pytest.raises(InterruptedRunError, match="run nightly on .* at work"),
        ):
            prepare(source, output)
        assert files(output) == {}
        prepare(source, output)
        assert list(packed_users(output)) == ["u000", "u001"]

    def test_tightened_limits_reach_users_that_are_packed_already(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 2), str(tmp_path / "out")
        write_tone(tmp_path / "in/audio/u001-1.wav", 0.9)
        prepare(source, output)
        prepare(source, output, data=replace(DROP, max_duration_s=0.5))
        assert [(u, row["num_utterances"]) for u, row in packed_users(output).items()] == [("u000", 2), ("u001", 1)]


class TestShards:
    def test_the_manifest_tells_where_each_utterance_lies(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 10), str(tmp_path / "out")
        prepare(source, output, SHARDS)
        given = {u.utterance_id: u for u in read_manifest(source).utterances}
        table = storage.read_table(f"{output}/manifest.parquet")
        assert table.column_names == [
            *("utterance_id", "user_id", "shard", "row_group", "row", "duration_s", "transcript"),
        ]
        rows = table.to_pylist()
        assert sorted(row["utterance_id"] for row in rows) == sorted(given)
        shards = {path: list(read_shard(f"{output}/{path}")) for path in sorted({row["shard"] for row in rows})}
        assert len(shards) == 5  # 20 utterances of 4.8 KB
        for row in rows:
            found = shards[row["shard"]][row["row"] - 1]
            u = given[row["utterance_id"]]
            expected = replace(u, audio=storage.read_bytes(str(u.audio)), duration_s=0.3, line=row["row"])
            assert found == expected
            assert found in list(read_shard(f"{output}/{row['shard']}", [row["row_group"]]))
            assert (row["user_id"], row["transcript"], row["duration_s"]) == (u.user_id, u.transcript, 0.3)
        for path, utterances in shards.items():
            assert re.fullmatch(r"shards/shard-\d{5}\.[0-9a-f]{32}\.parquet", path)
            assert path.split(".")[1] == content_version(utterances)

    def test_only_shards_that_changed_are_written_again(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, output = write_users(tmp_path / "in", 10), str(tmp_path / "out")
        prepare(source, output, SHARDS)
        first = files(output)
        capsys.readouterr()
        prepare(source, output, SHARDS)
        assert files(output) == first
        edit(source, {"u003-0.wav,sentence 0": "u003-0.wav,another sentence"})
        prepare(source, output, SHARDS)
        assert "packs: 1 written, 0 with the content they had, 4 unchanged" in capsys.readouterr().out
        transcripts = storage.read_table(f"{output}/manifest.parquet")["transcript"].to_pylist()
        assert (len(transcripts), transcripts.count("another sentence")) == (20, 1)
        assert {name: files(output).get(name) for name in first} == first
