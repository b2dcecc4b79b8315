"""The files of a corpus's folder: which are audio, and what stands in the texts."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.progress import Tell
from ds2ray.tables.encodings import Text, read_text
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.tables.rows import encoding_note

_THREADS = 32  # text files that are being read at once


def listed_files(folder_uri: str, listed: Sequence[str] | None) -> Sequence[str]:
    """`listed`, or where that is None the absolute URIs of all files in the folder."""
    return [info.uri for info in storage.list_objects(folder_uri, recursive=True)] if listed is None else listed


def read_texts(uris: Sequence[str], tell: Tell, encoding: str = "") -> list[Text | InputError]:
    """The texts of these files, in their order, or why one of them cannot be read."""

    def read(uri: str) -> Text | InputError:
        refused = storage.why_no_file(uri)
        if refused:
            return InputError(f"{uri}: {refused}")
        found = storage.asked(uri, lambda: read_text(uri, encoding))
        return InputError(f"{uri}: {found.reason}") if isinstance(found, storage.AddressFault) else found

    contents = []
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for text in pool.map(read, uris):
                contents.append(text)
                tell(f"{len(contents)} of {len(uris)} text files")
            return contents
        except BaseException:
            pool.shutdown(cancel_futures=True)  # a store that does not answer is not asked for all the others
            raise


def audio_problem(manifest_uri: str, line: int, audio_uri: str, reason: str, remedy: str) -> Problem:
    """The problem of an audio file; `line` is its number where no table names it."""
    return Problem(manifest_uri, line, ProblemKind.row, "audio", audio_uri, reason, remedy)


def text_problem(manifest_uri: str, line: int, text_uri: str, error: InputError, user_id: str = "") -> Problem:
    """Why the text of one audio, or of one part of a corpus, cannot be read."""
    reason = str(error).removeprefix(f"{text_uri}: ").removeprefix(f"{text_uri}:")
    remedy = "correct the file, or name its encoding: data.encoding=…"
    return Problem(
        manifest_uri, line, ProblemKind.row, "transcript", text_uri, f"cannot be read: {reason}", remedy, "", user_id
    )


def encoding_notes(texts: Iterable[Text | InputError]) -> dict[str, int]:
    """How many of these files were read in which guessed encoding."""
    return dict(Counter(note for text in texts if isinstance(text, Text) for note in encoding_note(text)))


def plain_form(uri: str) -> str:
    """An address by which two are compared: letters may be composed or decomposed."""
    return uri if uri.isascii() else unicodedata.normalize("NFC", uri)
