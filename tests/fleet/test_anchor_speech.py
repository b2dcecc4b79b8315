"""The anchor's speech: a bounded part of a manifest, all of whose voices are among it, and what is wrong with it."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.config import AudioConfig, BadRows, DataConfig, ModelConfig, TextConfig
from ds2ray.errors import InputError
from ds2ray.fleet.anchor_speech import ANCHOR_S, UNKNOWN_S, anchor_speech, spread
from ds2ray.shapes.architectures import shape_of
from ds2ray.tables.manifest import Utterance, write_manifest
from ds2ray.text import Vocabulary

VOCABULARY = Vocabulary.from_transcripts(["one two"], TextConfig())


def utterance(number: int, duration_s: float | None, audio: str | bytes = b"") -> Utterance:
    return Utterance(f"u{number}", "", audio, duration_s, "one", number)


def sound(seconds: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(int(16000 * seconds)), 16000, format="FLAC")
    return buffer.getvalue()


def written(folder: Path, audio: Sequence[bytes]) -> str:
    uri = str(folder / "ordinary.parquet")
    write_manifest(uri, [utterance(number, None, each) for number, each in enumerate(audio)])
    return uri


def read(uri: str, data: DataConfig) -> tuple[list[Utterance], list[str]]:
    return anchor_speech(uri, data=data, shape=shape_of(ModelConfig(), AudioConfig()), vocabulary=VOCABULARY)


@given(st.lists(st.floats(0.1, 30) | st.none(), min_size=1, max_size=200))
def test_as_much_as_is_allowed_evenly_spread(durations: list[float | None]) -> None:
    rows = [utterance(number, duration_s) for number, duration_s in enumerate(durations)]
    chosen = spread(rows)
    seconds = [UNKNOWN_S if row.duration_s is None else row.duration_s for row in rows]
    taken = [seconds[row.line] for row in chosen]
    assert sum(taken) <= ANCHOR_S * (1 + 1e-6)
    assert sum(taken) >= min(ANCHOR_S, sum(seconds)) - max(seconds) - 1e-6
    # of the first half of the speech there is about half
    early = [row for row in chosen if sum(seconds[: row.line + 1]) <= sum(seconds) / 2]
    half = sum(seconds[row.line] for row in early)
    assert abs(half - sum(taken) / 2) <= 2 * max(seconds) + 1e-6


def test_a_short_manifest_is_taken_whole() -> None:
    rows = [utterance(number, 0.7) for number in range(20)]
    assert spread(rows) == rows
    assert spread([]) == []


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    uri = written(tmp_path, [sound(1.0), b"no audio", sound(1.0), sound(1.0)])
    speech, lines = read(uri, DataConfig())
    assert [row.utterance_id for row in speech] == ["u0", "u2", "u3"]
    (line,) = lines
    assert line.startswith(f"anchor: 3 utterances, 3 s, of {uri}; left out: 1 × ")
    with pytest.raises(InputError, match="u1"):
        read(uri, DataConfig(bad_audio=BadRows.refuse))


def test_too_little_is_refused_with_the_setting(tmp_path: Path) -> None:
    uri = written(tmp_path, [sound(1.0), b"no audio", sound(1.0)])
    with pytest.raises(InputError) as error:
        read(uri, DataConfig())
    said = str(error.value)
    assert said.startswith(f"adapt.anchor_manifest={uri}: 2 usable utterances of ordinary speech, at least 3 ")
    assert "left out: 1 × " in said
    assert said.endswith("leave the setting empty")
    with pytest.raises(InputError, match="nowhere"):
        read(str(tmp_path / "nowhere.csv"), DataConfig())
