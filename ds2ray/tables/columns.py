"""The names of columns: our own in any spelling, and those that other programs give to the same."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from ds2ray.errors import InputError

_COMMON_VOICE = {"user_id": "client_id", "audio": "path", "transcript": "sentence"}

ALIASES: Mapping[str, tuple[str, ...]] = {
    "utterance_id": ("utt_id", "uttid", "utt", "segment_id"),
    "user_id": ("speaker", "speaker_id", "spk", "spk_id", "client_id", "user", "speaker_name"),
    "audio": (
        *("audio_filepath", "audio_file", "audio_path", "audio_filename", "wav", "wav_path", "wav_filename"),
        *("file_name", "filename", "filepath", "file_path", "file", "path"),
    ),
    "duration_s": ("duration", "duration_seconds", "duration_sec"),
    "start_s": ("offset", "offset_s", "start_seconds", "start_sec"),
    "end_s": ("end_seconds", "end_sec"),
    "transcript": ("text", "sentence", "transcription", "txt", "wrd", "words", "normalized_text", "text_normalized"),
    "manifest": ("manifest_filepath", "manifest_path"),
}
"""What NeMo, Hugging Face, Common Voice, SpeechBrain, DeepSpeech and others call each of our columns; of several in one
table the first counts. `id` is none of them: in some data sets it is the sentence's, which many speakers read; nor are
`start` and `end`, which count samples in some tables, and in others tell where audio came from that is cut already."""


def plain_name(written: str) -> str:
    """A column's name without what people write in different ways: case, blanks around it and between its words."""
    return re.sub(r"[\s-]+", "_", written.strip().lower())


def columns_read(written: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Our columns of a table, each with its name as written there.

    Args:
        known: our columns that are looked for. Of two that a written name could mean, the first has it.

    Raises:
        InputError: two columns have the same name of ours.
    """
    as_written: defaultdict[str, list[str]] = defaultdict(list)
    for name in written:
        as_written[plain_name(name)].append(name)
    found = {}
    for ours in known:
        name = next((name for name in (ours, *ALIASES.get(ours, ())) if name in as_written), "")
        names = as_written.pop(name, [])
        if len(names) > 1:
            raise InputError(f"column {ours} is there more than once: {', '.join(map(repr, names))}")
        if names:
            found[ours] = names[0]
    return found


def read_as(found: Mapping[str, str]) -> dict[str, str]:
    """Of our columns in a table those that have another name there, with that name."""
    return {ours: written for ours, written in found.items() if plain_name(written) != ours}


def is_common_voice(written: Mapping[str, str]) -> bool:
    """Whether these are the columns of a Common Voice release, whose audio lies in a folder beside the table.

    Args:
        written: the columns' names in the table, by ours.
    """
    return all(plain_name(written.get(ours, "")) == theirs for ours, theirs in _COMMON_VOICE.items())
