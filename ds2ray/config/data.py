"""The choice of usable utterances, and their server."""

from dataclasses import dataclass

from ds2ray.config.fields import Choice, require, setting

LEAST_SEGMENT_S = 2.0
"""Shorter segments leave no room for a pause to cut at."""


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
    max_duration_s: float = setting(30.0, "longer audio is bad; inf: none is", may_be_infinite=True)
    segment_long: bool = setting(
        False,
        "longer audio is cut at its pauses, where a base can align its transcript: the base that is adapted or fine-"
        "tuned, in packing that of prepare.base; segments are no longer than data.max_duration_s",
    )
    unlabelled: bool = setting(
        False,
        "utterances without a transcript are used, too: adapters learn from what is surely recognised in them, see "
        "adapt.unlabelled_confidence",
    )
    unknown_characters: UnknownCharacters = setting(UnknownCharacters.refuse, "characters that the vocabulary lacks")
    bad_rows: BadRows = setting(
        BadRows.refuse, "table rows that cannot be read: missing or malformed cells, duplicate ids"
    )
    bad_audio: BadRows = setting(BadRows.drop, "utterances whose audio or transcript cannot be used")
    encoding: str = setting(
        "", "of tables and text files, as utf-8, cp949, utf-16, cp1252; empty: UTF-8, and what is none is guessed"
    )
    allow_empty: bool = setting(False, "a table without rows is no mistake: there is nothing to do")
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
    allowed_schemes: list[str] = setting(
        ["file", "memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"],
        "schemes of the audio and manifests that tables name, beside the scheme of the table itself; others, as http "
        "and archives, are refused row by row; a chained address as zip://a.wav::s3://b/c.zip needs the scheme of each "
        "link",
    )
    allowed_roots: list[str] = setting(
        [],
        "folders, links followed, that the audio and manifests have to lie in that tables name, audio in the one that "
        "holds its manifest; empty: anywhere",
    )

    def __post_init__(self) -> None:
        allowed = "above data.min_duration_s, which is at least 0"
        require(0 <= self.min_duration_s < self.max_duration_s, "data.max_duration_s", self.max_duration_s, allowed)
        allowed = f"at least {LEAST_SEGMENT_S:g} with data.segment_long=true"
        long_enough = not self.segment_long or self.max_duration_s >= LEAST_SEGMENT_S
        require(long_enough, "data.max_duration_s", self.max_duration_s, allowed)
        require(_is_encoding(self.encoding), "data.encoding", self.encoding, "utf-8, cp949, utf-16, cp1252 …, or empty")
        require(0 <= self.silence_rows <= 1, "data.silence_rows", self.silence_rows, "0 to 1")
        for name in ("allowed_schemes", "allowed_roots"):
            values = getattr(self, name)
            require(all(value.strip() for value in values), f"data.{name}", values, "names, none of them empty")


def _is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by this name; an empty one is none in particular."""
    try:
        return not name or isinstance(b"a".decode(name, "ignore"), str)
    except (LookupError, ValueError):
        return False
