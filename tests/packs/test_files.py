"""Packs: what is written is what is read, at once or in bounded memory, under a version that the content gives."""

import io
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.packs import files
from ds2ray.packs.files import content_version, encode_pack, pack_rows, read_shard
from ds2ray.sound.audio import probe, read_encoded, read_waveform, write_audio
from ds2ray.tables.manifest import Utterance, read_manifest

UTTERANCES = st.lists(
    st.builds(
        Utterance,
        utterance_id=st.text(min_size=1, max_size=4),
        user_id=st.sampled_from(["john", "mary"]),
        audio=st.binary(min_size=1, max_size=8),
        duration_s=st.floats(0.1, 10),
        transcript=st.text(max_size=4),
        line=st.just(1),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda u: (u.user_id, u.utterance_id),
)


def utterances(count: int, size_bytes: int) -> list[Utterance]:
    audio = [bytes([number % 256]) * size_bytes for number in range(count)]
    return [Utterance(f"u{n}", "john", sound, 0.5 + n, f"word {n}", n + 1) for n, sound in enumerate(audio)]


class TestVersion:
    @given(UTTERANCES, st.randoms())
    def test_neither_order_nor_lines_nor_durations_matter(self, rows: list[Utterance], draws: random.Random) -> None:
        moved = [replace(u, line=n + 7, duration_s=None) for n, u in enumerate(rows)]
        draws.shuffle(moved)
        assert content_version(moved) == content_version(rows)
        assert len(content_version(rows)) == 32

    @given(UTTERANCES, st.data())
    def test_every_id_transcript_and_byte_does(self, rows: list[Utterance], data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(rows) - 1))
        u = rows[index]
        assert isinstance(u.audio, bytes)
        changed = data.draw(
            st.sampled_from(
                [
                    replace(u, utterance_id=u.utterance_id + "x"),
                    replace(u, user_id="ann"),
                    replace(u, transcript=u.transcript + "x"),
                    replace(u, audio=u.audio + b"\0"),
                    # the same characters, divided otherwise
                    replace(u, utterance_id=u.utterance_id + u.transcript, transcript=""),
                ]
            )
        )
        if changed != u:
            assert content_version([*rows[:index], changed, *rows[index + 1 :]]) != content_version(rows)
        assert content_version([*rows, replace(u, utterance_id="further")]) != content_version(rows)

    def test_it_is_the_same_in_every_release(self) -> None:
        rows = [Utterance("b", "john", b"RIFF", 1.0, "yes", 2), Utterance("a", "john", b"fLaC", 2.0, "no", 3)]
        assert content_version(rows) == "8fc432225c6453a3b813c3934b97612f"

    def test_only_bytes_can_be_packed(self) -> None:
        with pytest.raises(TypeError, match="a pack holds bytes"):
            content_version([Utterance("a", "john", "a.wav", 1.0, "yes", 1)])


class TestFormat:
    @pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
    def uri(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        root = str(tmp_path) if request.param == "local" else request.getfixturevalue("s3_root")
        return storage.join(root, "pack.parquet")

    def test_a_pack_is_a_manifest_and_a_shard(self, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "_ROW_GROUP_BYTES", 100)
        rows = utterances(7, 40)
        storage.write_bytes(uri, encode_pack(rows))
        assert list(read_shard(uri)) == rows
        assert list(read_shard(uri, [2, 0])) == [rows[6], *rows[:3]]
        manifest = read_manifest(uri)
        assert (manifest.utterances, manifest.problems, manifest.unknown_columns) == (rows, [], [])
        table = pack_rows(uri)
        assert table.column_names == ["utterance_id", "user_id", "duration_s", "transcript", "row_group", "row"]
        assert table["row_group"].to_pylist() == [0, 0, 0, 1, 1, 1, 2]
        assert table["row"].to_pylist() == [u.line for u in rows]
        assert table["transcript"].to_pylist() == [u.transcript for u in rows]

    def test_row_groups_hold_eight_megabytes_and_audio_lies_as_it_is(self, tmp_path: Path) -> None:
        uri = str(tmp_path / "pack.parquet")
        sound = np.random.default_rng(0).bytes(3 * 2**20)
        rows = [Utterance(str(n), "john", sound, 1.0, "x", n + 1) for n in range(7)]
        data = encode_pack(rows)
        assert data.count(sound) == len(rows)
        storage.write_bytes(uri, data)
        metadata = pq.ParquetFile(uri).metadata
        assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [3, 3, 1]
        assert len(data) < 7 * len(sound) + 10_000

    def test_what_is_none_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            next(read_shard(str(tmp_path / "none.parquet")))
        (tmp_path / "text.parquet").write_text("hello")
        pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
        for name in ("text", "other"):
            uri = str(tmp_path / f"{name}.parquet")
            with pytest.raises(InputError, match=f"{name}.parquet: not a pack of utterances"):
                next(read_shard(uri))
            with pytest.raises(InputError, match=f"{name}.parquet: not a pack of utterances"):
                pack_rows(uri)


class TestReadEncoded:
    def test_raw_pcm_gets_a_header_and_keeps_its_samples(self, tmp_path: Path) -> None:
        uri = str(tmp_path / "a.pcm")
        write_audio(uri, np.linspace(-1, 1, 1001, dtype=np.float32), 16000)
        data = read_encoded(uri)
        assert data[44:] == (tmp_path / "a.pcm").read_bytes()
        info = probe(data)
        assert (info.sample_rate_hz, info.num_channels, info.num_samples) == (16000, 1, 1001)
        assert np.array_equal(read_waveform(data, 16000), read_waveform(uri, 16000))
        assert soundfile.info(io.BytesIO(data)).subtype == "PCM_16"

    def test_everything_else_is_as_stored(self, tmp_path: Path) -> None:
        (tmp_path / "a.flac").write_bytes(b"anything")
        assert read_encoded(str(tmp_path / "a.flac")) == b"anything"

    @pytest.mark.parametrize(("content", "message"), [(b"", "is empty"), (b"a", "holds no samples")])
    def test_pcm_without_a_sample_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "a.pcm").write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_encoded(str(tmp_path / "a.pcm"))

    def test_an_odd_last_byte_of_pcm_is_left_out(self, tmp_path: Path) -> None:
        (tmp_path / "a.pcm").write_bytes(b"abcde")
        assert read_waveform(read_encoded(str(tmp_path / "a.pcm")), 16000).tolist() == [
            value / 32768 for value in np.frombuffer(b"abcd", "<i2").tolist()
        ]


class TestDamage:
    def test_another_pack_under_a_pack_s_name_is_refused(self, tmp_path: Path) -> None:
        mine, other = (Utterance("1", "ann", audio, 1.0, "ja", 1) for audio in (b"one", b"two"))
        name = tmp_path / f"ann.{content_version([mine])}.parquet"
        name.write_bytes(encode_pack([mine]))
        assert [u.audio for u in read_shard(str(name))] == [b"one"]
        assert [u.audio for u in read_manifest(str(name)).utterances] == [b"one"]
        name.write_bytes(encode_pack([other]))
        for read in (lambda uri: list(read_shard(uri)), read_manifest, pack_rows):
            with pytest.raises(InputError, match=f"its content has version {content_version([other])}"):
                read(str(name))

    def test_a_pack_of_an_earlier_release_is_held_against_its_name(self, tmp_path: Path) -> None:
        utterance = Utterance("1", "ann", b"one", 1.0, "ja", 1)
        table = pq.read_table(pa.BufferReader(encode_pack([utterance])))
        name = tmp_path / f"ann.{content_version([utterance])}.parquet"
        pq.write_table(table, name)
        assert [u.audio for u in read_manifest(str(name)).utterances] == [b"one"]
        pq.write_table(table.set_column(2, "audio", pa.array([b"two"])), name)
        with pytest.raises(InputError, match="not that of its name: it is damaged, or another pack's; pack it again"):
            read_manifest(str(name))

    def test_a_flipped_bit_is_told_of_the_row_group_that_is_read(self, tmp_path: Path) -> None:
        data = bytearray(encode_pack([Utterance("1", "ann", b"audio of ann", 1.0, "ja", 1)]))
        data[data.index(b"audio of ann")] ^= 1
        (tmp_path / "p.parquet").write_bytes(data)
        assert pack_rows(str(tmp_path / "p.parquet")).num_rows == 1
        with pytest.raises(InputError, match=r"p\.parquet: not a pack of utterances: it is damaged: column audio"):
            list(read_shard(str(tmp_path / "p.parquet")))
