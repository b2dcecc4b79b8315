"""What is said of recordings with several channels before any is used."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ds2ray.config import AudioConfig, DataConfig
from ds2ray.sound import measuring
from ds2ray.sound.measuring import measure_all
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.validation import validate

RATE_HZ = 16000
SOUND = np.random.default_rng(0).normal(0, 0.1, (3, RATE_HZ))
KINDS = {
    "mono": SOUND[:1],
    "pair": SOUND[:2],
    "dead": np.stack([SOUND[0], 0 * SOUND[0]]),
    "turned": np.stack([SOUND[0], -SOUND[0]]),
    "six": np.concatenate([SOUND, SOUND[::-1]]),
}
NOTES = {
    "mono": "",
    "pair": "",
    "dead": "used channel 1 of 2; 2 is silent",
    "turned": "averaged channels 1, 2 of 2; 2 of opposite phase, turned so that nothing cancels",
    "six": "averaged channels 1, 2, 3, 4, 5, 6 of 6",
}


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    for name, channels in KINDS.items():
        soundfile.write(tmp_path / f"{name}.wav", channels.T, RATE_HZ)
    return {name: str(tmp_path / f"{name}.wav") for name in KINDS}


def notes_of(audio: list[str | bytes]) -> list[str]:
    return [info.note for info in measure_all(audio) if isinstance(info, measuring.AudioInfo)]


def test_a_note_says_how_channels_are_mixed(paths: dict[str, str]) -> None:
    assert notes_of(list(paths.values())) == list(NOTES.values())
    assert notes_of([Path(path).read_bytes() for path in paths.values()]) == list(NOTES.values())


def test_the_excerpts_of_a_recording_have_its_note(paths: dict[str, str]) -> None:
    assert notes_of([f"{paths['dead']}#t=0,0.2", f"{paths['dead']}#t=0.2,0.7"]) == [NOTES["dead"]] * 2


def test_of_many_recordings_some_are_listened_to(paths: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "LISTENED_TO", 2)
    copies: list[str | bytes] = []
    for number in range(5):
        copy = Path(paths["dead"]).with_name(f"{number}.wav")
        copy.write_bytes(Path(paths["dead"]).read_bytes())
        copies.append(str(copy))
    assert notes_of(copies) == [NOTES["dead"], "", "", NOTES["dead"], ""]


def test_a_plan_tells_it(paths: dict[str, str]) -> None:
    rows = [Utterance(name, "", path, None, "a", line) for line, (name, path) in enumerate(paths.items())]
    checked = validate(Manifest("m.csv", rows), data=DataConfig(), audio=AudioConfig(), vocabulary=None)
    assert len(checked.utterances) == len(rows)
    assert reading_notes([checked]) == [
        "utterances mixed to mono: 4",
        *(f"{NOTES[name]} (utterances: 1)" for name in ("turned", "six", "dead")),
    ]
