"""Fingerprints of users, of speech, base and settings: where one is the same as last night, nothing is trained."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ds2ray.config import LAST_LAYER, AdaptConfig, AdapterConfig, DataConfig, adapter_to_plain, to_plain
from ds2ray.config.adapt import FURTHER_TIMES
from ds2ray.storage import ObjectInfo
from ds2ray.store.index import PIPELINE_VERSION
from ds2ray.tables.manifest import Utterance
from ds2ray.uris import excerpt_of, recording_of

FINGERPRINT_LENGTH = 32
"""Hex digits of a user's fingerprint: enough for any fleet, and half the size of the index."""

ONLY_HOW = frozenset(
    {
        *("encode_batch_s", "max_cohort_users", "max_cohort_s", "gpus_per_trial", "cpus_per_trial"),
        *("max_concurrent_trials", "max_failed_ratio", "max_unusable_ratio", "max_attempts", "force"),
        *("retry_unusable_after_h", "stop_after_failures", "only", "retry", "max_changed_ratio"),
        *("canary", "canary_users", "canary_min_share", "canary_max_rise"),
        # of users whose speech has changed anyway
        *("warm_start", "warm_epochs", "warm_learning_rate", "warm_growth"),
        # of users with speech that has no transcripts, see `settings_of_user`
        *("unlabelled_share", "unlabelled_confidence"),
        # of users with corrected transcripts
        "corrected_weight",
    }
)
"""Settings that change how fast or where adapters are trained, and not the adapters."""

_CORRECTED = "corrected"

_DECIDE_WHAT_IS_USABLE = ("min_duration_s", "max_duration_s", "unknown_characters")
"""Settings of the data that decide which of a sealed user's utterances are used, and how."""


def settings_that_matter(adapter: AdapterConfig, adapt: AdaptConfig) -> dict[str, Any]:
    """The settings on which an adapter's weights depend: where one changes, adapters are trained anew.

    `adapt.further_share` is none of them where there are no further recordings, as before there was such a setting;
    where there are, how often each utterance is in one matters, too. `adapt.gate_confidence` matters unless it is the
    default, so that adapters of before there was such a setting stay. Whether there is an anchor, and how strong,
    matters, and not where its manifest lies.
    """
    plain = {name: value for name, value in to_plain(adapt).items() if name not in ONLY_HOW}
    if not adapt.further_share or adapter.after_layer == LAST_LAYER:
        del plain["further_share"]
    else:
        plain["further_times"] = FURTHER_TIMES
    anchor = (plain.pop("anchor_manifest"), plain.pop("anchor_weight"), plain.pop("max_anchor_rise"))
    if adapt.anchor_manifest:
        plain["anchor"] = anchor[1:]
    if adapt.gate_confidence == AdaptConfig.gate_confidence:
        del plain["gate_confidence"]
    return {"adapter": adapter_to_plain(adapter), "adapt": plain}


def settings_of_user(
    settings: Mapping[str, Any], utterances: Sequence[Utterance], data: DataConfig, adapt: AdaptConfig
) -> Mapping[str, Any]:
    """The settings that matter for these utterances: where some may be too long, how long their segments may be, and
    where some have no transcript, how much is learned from these, and how much corrected transcripts count."""
    if data.segment_long and any(u.duration_s is None or u.duration_s > data.max_duration_s for u in utterances):
        settings = {**settings, "segment_s": data.max_duration_s}
    if not all(utterance.transcript.strip() for utterance in utterances):
        settings = with_unlabelled(settings, data, adapt)
    if any(utterance.corrected for utterance in utterances):
        settings = {**settings, _CORRECTED: adapt.corrected_weight}
    return settings


def with_unlabelled(settings: Mapping[str, Any], data: DataConfig, adapt: AdaptConfig) -> Mapping[str, Any]:
    """The settings that matter where some speech may have no transcript."""
    if not data.unlabelled:
        return settings
    return {**settings, "unlabelled": [adapt.unlabelled_share, adapt.unlabelled_confidence]}


def pipeline_state(data: DataConfig) -> str:
    """The state of the data pipeline, code and settings: while it stays the same, what was unusable may well be so."""
    digest = hashlib.sha256(json.dumps(to_plain(data), sort_keys=True).encode()).hexdigest()
    return f"{PIPELINE_VERSION}-{digest[:FINGERPRINT_LENGTH]}"


def user_fingerprint(
    utterances: Iterable[Utterance],
    object_infos: Mapping[str, ObjectInfo | None],
    base_fingerprint: str,
    settings: Mapping[str, Any],
) -> str:
    """The digest of a user's speech, transcripts, base and settings, in 32 hex digits.

    Neither the order of rows nor the place of the audio matters: stored audio is told by its version tag, and an
    excerpt by its times, too.
    """
    rows = sorted(
        (u.utterance_id, _audio_tag(u.audio, object_infos), u.transcript, *([_CORRECTED] if u.corrected else []))
        for u in utterances
    )
    text = json.dumps([base_fingerprint, settings, rows], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def sealed_fingerprints(
    versions: Iterable[str], base_fingerprint: str, settings: Mapping[str, Any], data: DataConfig
) -> list[str]:
    """The fingerprints of sealed users, by the versions of their rows in place of their utterances."""
    policies = {name: value for name, value in to_plain(data).items() if name in _DECIDE_WHAT_IS_USABLE}
    if data.segment_long:
        policies["segment_long"] = True
    text = json.dumps([base_fingerprint, settings, policies], sort_keys=True, ensure_ascii=True)
    shared = hashlib.sha256(text.encode())
    fingerprints = []
    for version in versions:
        digest = shared.copy()
        digest.update(version.encode())
        fingerprints.append(digest.hexdigest()[:FINGERPRINT_LENGTH])
    return fingerprints


def _audio_tag(audio: str | bytes, object_infos: Mapping[str, ObjectInfo | None]) -> str:
    if isinstance(audio, bytes):
        return hashlib.sha256(audio).hexdigest()
    info, excerpt = object_infos.get(recording_of(audio)), excerpt_of(audio)
    return (info.version_tag if info else "") + (f"#t={excerpt}" if excerpt else "")
