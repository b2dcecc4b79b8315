"""Packing of audio that is odd but whole, and what is told of it."""

from pathlib import Path

import numpy as np
import pytest
from preparing import prepare
from sounds import encoded, warble

from ds2ray.config import PackBy, PrepareConfig
from ds2ray.packs.files import read_shard
from ds2ray.sound.audio import read_waveform


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
