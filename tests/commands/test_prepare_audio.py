"""Packing of audio that is odd but whole, and what is told of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from long_speech import join, said
from preparing import prepare
from sounds import encoded, warble

from ds2ray.config import DataConfig, PackBy, PrepareConfig
from ds2ray.packs.files import read_shard
from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.tables.manifest import Utterance, write_manifest

SPOKEN = Path(__file__).resolve().parents[1] / "fixtures" / "spoken" / "model.pt"


def test_channels_that_are_not_ordinary_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in"
    source.mkdir()
    speech = warble(16000)
    for name, other in (("a", -speech), ("b", -speech), ("c", speech)):
        (source / f"{name}.wav").write_bytes(encoded(np.stack([speech, other], axis=1), "WAV"))
        (source / f"{name}.txt").write_text("hello")
    prepare(str(source), str(tmp_path / "out"), PrepareConfig(by=PackBy.shard, decode_audio=True))
    assert "  channels of 2: averaged channels 1, 2 of 2; 2 of opposite phase" in capsys.readouterr().out


def test_audio_that_is_odd_but_whole_is_packed(tmp_path: Path) -> None:
    """Packs keep the bytes of such files, and what reads packs reads them as well."""
    source = tmp_path / "in"
    source.mkdir()
    speech = warble(16000)
    piped = bytearray(encoded(speech, "WAV"))
    piped[40:44] = bytes(4)
    audio = {
        "gsm.wav": encoded(speech, "WAV", subtype="GSM610"),
        "odd.pcm": (speech * 32767).astype("<i2").tobytes() + b"x",
        "piped.wav": bytes(piped),
        "twice.ogg": 2 * encoded(speech, "OGG"),
        "twice.mp3": 2 * encoded(speech, "MP3"),
    }
    for name, data in audio.items():
        (source / name).write_bytes(data)
        (source / name).with_name(f"{name.partition('.')[0]}.txt").write_text("hello")
    (source / "twice.mp3").rename(source / "double.mp3")
    (source / "double.txt").write_text("hello")
    prepare(str(source), str(tmp_path / "out"), PrepareConfig(by=PackBy.shard, decode_audio=True))
    (shard,) = (tmp_path / "out" / "shards").glob("shard-*.parquet")
    packed = {u.utterance_id: u for u in read_shard(str(shard))}
    expected_s = {"gsm": 1.0, "odd": 1.0, "piped": 1.0, "twice": 2.0, "double": 2.0}
    assert {key: round(u.duration_s or 0.0, 2) for key, u in packed.items()} == expected_s
    lengths = {key: len(read_waveform(u.audio, 16000)) for key, u in packed.items()}
    assert lengths == {key: 16000 * seconds for key, seconds in expected_s.items()}


@pytest.mark.parametrize("by", list(PackBy))
def test_excerpts_are_packed_by_themselves(tmp_path: Path, by: PackBy, capsys: pytest.CaptureFixture[str]) -> None:
    write_audio(str(tmp_path / "long.flac"), warble(10 * 16000), 16000)
    whole = read_waveform(str(tmp_path / "long.flac"), 16000)
    times = [(0.0, 1.5), (1.5, 2.0), (7.25, 2.75), (9.0, 3.0)]
    rows = [
        {"audio_filepath": "long.flac", "offset": start, "duration": length, "text": "hello", "speaker": "ann"}
        for start, length in times
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = PrepareConfig(by=by)
    prepare(str(tmp_path / "m.jsonl"), str(tmp_path / "out"), settings)
    (pack,) = (tmp_path / "out").glob("*/*.*.parquet")
    packed = {u.utterance_id: u for u in read_shard(str(pack))}
    assert list(packed) == list(dict.fromkeys(packed))
    assert sorted(packed) == ["long@0-1.5", "long@1.5-3.5", "long@7.25-10"]
    np.testing.assert_array_equal(read_waveform(packed["long@1.5-3.5"].audio, 16000), whole[24000:56000])
    assert pack.stat().st_size < 250_000
    out = capsys.readouterr().out
    assert "rows: 4 read = 3 packed" in out
    assert "ends at 12 s" in out
    prepare(str(tmp_path / "m.jsonl"), str(tmp_path / "out"), settings)
    assert "packs: 0 written, 1 with the content they had" in capsys.readouterr().out


class TestLongRecordings:
    """Recordings longer than the limit, packed by segments that a base has aligned."""

    @pytest.fixture
    def source(self, commands: list[Utterance], tmp_path: Path) -> str:
        """Ann's talk, the same with another transcript, and a short sentence of hers."""
        talk = join(str(tmp_path / "talk.flac"), commands[:6])
        foreign = replace(talk, utterance_id="foreign", transcript=" ".join(said(commands[10:16])))
        rows = [talk, foreign, replace(commands[7], user_id="ann", utterance_id="short")]
        write_manifest(str(tmp_path / "m.csv"), [replace(row, duration_s=None) for row in rows])
        return str(tmp_path / "m.csv")

    @pytest.mark.parametrize("by", list(PackBy))
    def test_a_base_cuts_them(
        self, source: str, commands: list[Utterance], tmp_path: Path, by: PackBy, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = DataConfig(max_duration_s=10.0, segment_long=True)
        settings = PrepareConfig(by=by, base=str(SPOKEN))
        prepare(source, str(tmp_path / "out"), settings, data)
        (uri,) = (tmp_path / "out").glob("*/*.*.parquet")
        packed = list(read_shard(str(uri)))
        assert sorted(said(packed)) == sorted(said([*commands[:6], commands[7]]))
        assert all(u.utterance_id == "short" or u.utterance_id.startswith("talk@") for u in packed)
        assert max(u.duration_s or 0.0 for u in packed) < 10.0
        out = capsys.readouterr().out
        assert "rows: 3 read, 1 left out; 7 utterances packed" in out
        assert "long recordings: 1 cut into 6 utterances; 0 segments left out" in out
        dropped = (tmp_path / "out" / "dropped.csv").read_text()
        assert "foreign" in dropped
        assert "check that they belong together" in dropped
        prepare(source, str(tmp_path / "out"), settings, data)  # what was left out is tried again
        assert "packs: 0 written, 1 with the content they had, 0 unchanged" in capsys.readouterr().out

    def test_without_a_base_the_remedy_is_told(self, source: str, tmp_path: Path) -> None:
        data = DataConfig(max_duration_s=10.0, segment_long=True)
        prepare(source, str(tmp_path / "out"), PrepareConfig(), data)
        dropped = (tmp_path / "out" / "dropped.csv").read_text()
        assert dropped.count("prepare.base=… in packing") == 2

    def test_packs_whose_speech_is_the_same_are_not_aligned_again(
        self, source: str, commands: list[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [line for line in Path(source).read_text().splitlines() if "foreign" not in line]
        Path(source).write_text("\n".join(rows) + "\n")
        data = DataConfig(max_duration_s=10.0, segment_long=True)
        for by in PackBy:
            for expected in ("1 written, 0 with the content they had, 0 unchanged", "0 had, 1 unchanged"):
                prepare(source, str(tmp_path / "out"), PrepareConfig(by=by, base=str(SPOKEN)), data)
                out = capsys.readouterr().out
                assert expected.rpartition(", ")[2] in out
        assert "long recordings: 0 cut" in out
