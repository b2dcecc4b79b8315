"""Packing of audio that is odd but whole, and what is told of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from preparing import prepare
from sounds import encoded, warble

from ds2ray.config import PackBy, PrepareConfig
from ds2ray.packs.files import read_shard
from ds2ray.sound.audio import read_waveform, write_audio


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
