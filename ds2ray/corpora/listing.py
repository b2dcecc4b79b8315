"""The files of a corpus's folder: which are audio, and what stands in the texts."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ds2ray import storage
from ds2ray.progress import Tell
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.tables.rows import read_text

_THREADS = 32  # text files that are being read at once


def listed_files(folder_uri: str, listed: Sequence[str] | None) -> Sequence[str]:
    """`listed`, or where that is None the absolute URIs of all files in the folder."""
    return [info.uri for info in storage.list_objects(folder_uri, recursive=True)] if listed is None else listed


def read_texts(uris: Sequence[str], tell: Tell) -> list[str]:
    """The texts of these files, in their order."""
    contents = []
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for text in pool.map(read_text, uris):
                contents.append(text)
                tell(f"{len(contents)} of {len(uris)} text files")
            return contents
        except BaseException:
            pool.shutdown(cancel_futures=True)  # a store that does not answer is not asked for all the others
            raise


def audio_problem(manifest_uri: str, line: int, audio_uri: str, reason: str, remedy: str) -> Problem:
    """What is wrong with an audio file; `line` is its number where no table names it."""
    return Problem(manifest_uri, line, ProblemKind.row, "audio", audio_uri, reason, remedy)
