import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from ds2ray import storage
from ds2ray.config import (
    Activation,
    AdaptConfig,
    AdapterConfig,
    AdapterKind,
    BadRows,
    Canary,
    DataConfig,
    ErrorMetric,
    Precision,
    ProbeAudio,
    Retry,
    UnknownCharacters,
)
from ds2ray.fleet import fingerprints
from ds2ray.fleet.fingerprints import (
    sealed_fingerprints,
    settings_of_user,
    settings_that_matter,
    user_fingerprint,
    with_unlabelled,
)
from ds2ray.storage import ObjectInfo
from ds2ray.tables.manifest import Utterance

ADAPT = AdaptConfig()
SETTINGS = settings_that_matter(AdapterConfig(), ADAPT)


def utterance(number: int, **changes: Any) -> Utterance:
    known = Utterance(f"u{number}", "john", f"/audio/john/u{number}.wav", 2.0, f"words {number}", number)
    return replace(known, **changes)


def fingerprint(utterances: list[Utterance], base: str = "base", settings: dict[str, Any] = SETTINGS) -> str:
    infos = {u.audio: ObjectInfo(u.audio, 1, f"tag{u.line}") for u in utterances if isinstance(u.audio, str)}
    return user_fingerprint(utterances, infos, base, settings)


def test_a_fingerprint_is_the_same_tomorrow() -> None:
    assert fingerprint([utterance(1), utterance(2)], settings={"a": 1}) == "b0d46607c161c1e6d0918bb0692dec38"


def test_neither_order_nor_place_matters() -> None:
    rows = [utterance(number) for number in range(4)]
    moved = [replace(row, audio=f"s3://bucket/{row.utterance_id}.wav", duration_s=None) for row in rows]
    assert fingerprint(rows[::-1]) == fingerprint(rows)
    assert fingerprint(moved) == fingerprint(rows)


def test_excerpts_are_told_by_their_times() -> None:
    tag = {"/a.wav": ObjectInfo("/a.wav", 1, "tag")}

    def of(audio: str, tags: dict[str, ObjectInfo] = tag) -> str:
        return user_fingerprint([utterance(1, audio=audio)], tags, "base", SETTINGS)

    assert len({of("/a.wav"), of("/a.wav#t=0,1.5"), of("/a.wav#t=0,1.6"), of("/a.wav#t=0,1.5", {})}) == 4
    assert of("s3://b/c.wav#t=0,1.5", {"s3://b/c.wav": tag["/a.wav"]}) == of("/a.wav#t=0,1.5")


def test_where_recordings_may_be_cut_the_length_of_segments_counts() -> None:
    short, long = utterance(1), utterance(2, duration_s=300.0)
    unknown = utterance(3, duration_s=None)
    cut, elsewhere = DataConfig(segment_long=True), DataConfig(segment_long=True, max_duration_s=20.0)
    for data in (DataConfig(), cut, elsewhere):
        assert settings_of_user(SETTINGS, [short], data, ADAPT) == SETTINGS
    for rows in ([short, long], [short, unknown]):
        assert settings_of_user(SETTINGS, rows, DataConfig(), ADAPT) == SETTINGS
        found = [settings_of_user(SETTINGS, rows, data, ADAPT) for data in (cut, elsewhere)]
        assert len({fingerprint(rows, settings=dict(each)) for each in (SETTINGS, *found)}) == 3


def test_where_speech_has_no_transcript_how_it_is_learned_from_counts() -> None:
    rows = [utterance(1), replace(utterance(2), transcript=" ")]
    data, other = DataConfig(unlabelled=True), AdaptConfig(unlabelled_confidence=0.7)
    assert settings_of_user(SETTINGS, rows[:1], data, ADAPT) == SETTINGS
    assert settings_of_user(SETTINGS, rows, DataConfig(), ADAPT) == SETTINGS
    found = [settings_of_user(SETTINGS, rows, data, adapt) for adapt in (ADAPT, other)]
    found += [with_unlabelled(SETTINGS, data, adapt) for adapt in (ADAPT, other)]  # of sealed users
    assert found[:2] == found[2:]
    assert len({fingerprint(rows, settings=dict(each)) for each in (SETTINGS, *found)}) == 3


def test_what_a_user_has_corrected_counts_and_its_weight() -> None:
    rows = [utterance(1), replace(utterance(2), corrected=True)]
    adapts = [ADAPT, AdaptConfig(corrected_weight=5.0)]
    assert settings_of_user(SETTINGS, rows[:1], DataConfig(), ADAPT) == SETTINGS
    found = [settings_of_user(SETTINGS, rows, DataConfig(), adapt) for adapt in adapts]
    prints = [fingerprint(rows, settings=dict(each)) for each in (SETTINGS, *found)]
    assert len({*prints, fingerprint([rows[0], replace(rows[1], corrected=False)])}) == 4


def test_what_changes_a_fingerprint() -> None:
    rows = [utterance(1), utterance(2)]
    others = [
        fingerprint(rows[:1]),
        fingerprint([rows[0], replace(rows[1], transcript="other words")]),
        fingerprint([rows[0], replace(rows[1], line=3)]),  # another tag
        fingerprint(rows, base="another base"),
        fingerprint([replace(rows[0], audio=b"RIFF"), rows[1]]),
        fingerprint([replace(rows[0], audio=b"RIFX"), rows[1]]),
    ]
    assert len({fingerprint(rows), *others}) == 7


def test_rewritten_audio_changes_a_fingerprint(tmp_path: Path) -> None:
    uri = str(tmp_path / "u1.wav")
    rows = [utterance(1, audio=uri)]
    found: list[str] = []
    for data in (b"first", b"other", b"other"):
        if not found or data != storage.read_bytes(uri):
            storage.write_bytes(uri, data)
        found.append(user_fingerprint(rows, storage.stat_many([uri]), "base", SETTINGS))
    assert found[0] != found[1] == found[2]


OTHER_ADAPTER: dict[str, Any] = {
    "kind": AdapterKind.lhuc,
    "hidden_dims": [8],
    "activation": Activation.gelu,
    "dropout": 0.3,
    "after_layer": 1,
}
OTHER_ADAPT: dict[str, Any] = {
    "num_epochs": 3,
    "batch_size": 3,
    "learning_rate": 0.5,
    "weight_decay": 0.5,
    "max_grad_norm": 0.5,
    "patience_epochs": 3,
    "held_out_fraction": 0.5,
    "gate_metric": ErrorMetric.cer,
    "min_utterances": 3,
    "cross_validate_below": 3,
    "num_folds": 3,
    "further_share": 0.7,
    "kl_weight": 0.5,
    "precision": Precision.bfloat16,
    "seed": 3,
    "gate_confidence": 0.5,
    "anchor_manifest": "ordinary.csv",
}
OTHER_HOW: dict[str, Any] = {
    "anchor_weight": 0.25,  # without an anchor
    "max_anchor_rise": 0.05,
    "warm_start": False,
    "warm_epochs": 3,
    "warm_learning_rate": 0.5,
    "warm_growth": 3.0,
    "unlabelled_share": 0.25,  # without speech that has no transcripts
    "unlabelled_confidence": 0.5,
    "corrected_weight": 3.0,  # without corrected transcripts
    "only": "john",
    "retry": Retry.failed,
    "max_changed_ratio": 0.5,
    "canary": Canary.always,
    "canary_users": 3,
    "canary_min_share": 0.25,
    "canary_max_rise": 0.5,
    "encode_batch_s": 3.0,
    "max_cohort_users": 3,
    "max_cohort_s": 3.0,
    "gpus_per_trial": 0.5,
    "cpus_per_trial": 3.0,
    "max_concurrent_trials": 3,
    "max_failed_ratio": 0.5,
    "max_unusable_ratio": 0.5,
    "retry_unusable_after_h": 20.0,
    "stop_after_failures": 3,
    "max_attempts": 2,
    "force": True,
}


def test_every_setting_is_known_here() -> None:
    assert {field.name for field in fields(AdapterConfig)} == set(OTHER_ADAPTER)
    assert {field.name for field in fields(AdaptConfig)} == set(OTHER_ADAPT) | set(OTHER_HOW)


def test_settings_as_they_were_before_there_were_kinds_train_nobody_anew() -> None:
    of_then = AdaptConfig(num_epochs=20, batch_size=8, further_share=0.0)
    described = json.dumps(settings_that_matter(AdapterConfig(), of_then), sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()
    assert digest == "7d68748f9e617650b2a9b33a4d913ce1b5821c544f4a0019d44a041749e83be5"


@pytest.mark.parametrize("name", OTHER_ADAPTER)
def test_adapter_settings_matter(name: str) -> None:
    changed = AdapterConfig(**{name: OTHER_ADAPTER[name]})
    assert settings_that_matter(changed, AdaptConfig()) != SETTINGS


@pytest.mark.parametrize("name", OTHER_ADAPT)
def test_training_settings_matter(name: str) -> None:
    changed = AdaptConfig(**{name: OTHER_ADAPT[name]})
    assert settings_that_matter(AdapterConfig(), changed) != SETTINGS


def test_the_strength_of_an_anchor_matters_and_not_its_place() -> None:
    with_anchor = AdaptConfig(anchor_manifest="ordinary.csv")
    described = [
        settings_that_matter(AdapterConfig(), replace(with_anchor, **changed))
        for changed in ({}, {"anchor_manifest": "elsewhere.csv"}, {"anchor_weight": 0.25}, {"max_anchor_rise": 0.05})
    ]
    assert described[0] == described[1]
    assert len({json.dumps(one, sort_keys=True) for one in described}) == 3


@pytest.mark.parametrize("name", OTHER_HOW)
def test_settings_of_how_to_train_do_not_matter(name: str) -> None:
    changed = AdaptConfig(**{name: OTHER_HOW[name]})
    assert changed != AdaptConfig()
    assert settings_that_matter(AdapterConfig(), changed) == SETTINGS


# Sealed users


def sealed(version: str = "v1", base: str = "base", settings: dict[str, Any] = SETTINGS, **data: Any) -> str:
    return sealed_fingerprints([version], base, settings, DataConfig(**data))[0]


def test_a_sealed_fingerprint_is_the_same_tomorrow() -> None:
    assert sealed(settings={"a": 1}) == "22835892b5bb4200611b44454cdce7b5"
    assert sealed_fingerprints(["v1", "v2", "v1"], "base", SETTINGS, DataConfig())[::2] == [sealed(), sealed()]


def test_what_changes_a_sealed_fingerprint() -> None:
    others = [sealed("v2"), sealed(base="another base"), sealed(settings={"a": 1})]
    assert len({sealed(), *others}) == 4


OTHER_USABLE: dict[str, Any] = {
    "min_duration_s": 0.2,
    "max_duration_s": 20.0,
    "unknown_characters": UnknownCharacters.drop,
    "segment_long": True,
}
OTHER_LOOK: dict[str, Any] = {
    "bad_rows": BadRows.drop,
    "bad_audio": BadRows.refuse,
    "probe_audio": ProbeAudio.none,
    "endpoint_url": "http://127.0.0.1:9000",
    "profile": "corpora",
    "encoding": "cp949",
    "allow_empty": True,
    "silence_rows": 0.2,  # of bases alone
    "unlabelled": True,  # see `with_unlabelled`
    "allowed_schemes": ["s3"],
    "allowed_roots": ["/data"],
}


def test_every_setting_of_the_data_is_known_here() -> None:
    assert {field.name for field in fields(DataConfig)} == set(OTHER_USABLE) | set(OTHER_LOOK)


@pytest.mark.parametrize("name", OTHER_USABLE)
def test_settings_that_decide_what_is_usable_matter(name: str) -> None:
    assert sealed(**{name: OTHER_USABLE[name]}) != sealed()


@pytest.mark.parametrize("name", OTHER_LOOK)
def test_settings_of_how_faults_are_met_do_not_matter(name: str) -> None:
    assert sealed(**{name: OTHER_LOOK[name]}) == sealed()


def test_further_recordings_matter_only_before_layers_with_memory() -> None:
    last = AdapterConfig(after_layer=-1)
    joined, apart = AdaptConfig(further_share=0.5), AdaptConfig(further_share=0.0)
    assert settings_that_matter(last, joined) == settings_that_matter(last, apart)
    assert settings_that_matter(AdapterConfig(), joined) != settings_that_matter(AdapterConfig(), apart)


def test_how_often_an_utterance_is_in_a_further_recording_matters_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases = [(0, AdaptConfig()), (-1, AdaptConfig()), (0, AdaptConfig(further_share=0.0))]
    before = [settings_that_matter(AdapterConfig(after_layer=place), adapt) for place, adapt in cases]
    monkeypatch.setattr(fingerprints, "FURTHER_TIMES", 1)
    after = [settings_that_matter(AdapterConfig(after_layer=place), adapt) for place, adapt in cases]
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, False, False]
