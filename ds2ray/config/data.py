"""The choice of usable utterances, and their server."""

from dataclasses import dataclass

from ds2ray.config.fields import Choice, require, setting


class UnknownCharacters(Choice):
    refuse = "refuse", "the utterance cannot be used; see bad_audio"
    drop = "drop", "the character is left out, counted and reported"


class BadRows(Choice):
    refuse = "refuse", "report all of them and start nothing"
    drop = "drop", "leave them out, counted and reported"


class ProbeAudio(Choice):
    near = "near", "open what costs no request, local files and bytes, and else as missing"
    missing = "missing", "open only files whose duration the manifest does not give"
    all = "all", "open every header"
    none = "none", "trust the manifest; a bad file then shows up when it is decoded"


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The choice of usable utterances, the treatment of the others, and the server of all data outside the store."""

    min_duration_s: float = setting(0.1, "shorter audio is bad")
    max_duration_s: float = setting(30.0, "longer audio is bad")
    unknown_characters: UnknownCharacters = setting(UnknownCharacters.refuse, "characters that the vocabulary lacks")
    bad_rows: BadRows = setting(
        BadRows.refuse, "table rows that cannot be read: missing or malformed cells, duplicate ids"
    )
    bad_audio: BadRows = setting(BadRows.drop, "utterances whose audio or transcript cannot be used")
    probe_audio: ProbeAudio = setting(ProbeAudio.near, "which audio headers are opened before the run")
    silence_rows: float = setting(
        0.05, "rows of silence or noise, in which nobody speaks, to each row of speech that a base is trained on"
    )
    endpoint_url: str = setting(
        "",
        "S3-compatible server of s3:// URIs outside the store: tables, audio, model files and outputs; empty, and "
        "data.profile empty, too: the store's",
    )
    profile: str = setting("", "name of the credentials for it, as storage.profile")

    def __post_init__(self) -> None:
        allowed = "above data.min_duration_s, which is at least 0"
        require(0 <= self.min_duration_s < self.max_duration_s, "data.max_duration_s", self.max_duration_s, allowed)
        require(0 <= self.silence_rows <= 1, "data.silence_rows", self.silence_rows, "0 to 1")
