"""Corpora of CMU Sphinx, AN4 among them: `.fileids` and `.transcription`, and audio as .wav, .sph, .raw and others."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from ds2ray.corpora.listing import encoding_notes, listed_files, plain_form, read_texts, text_problem
from ds2ray.errors import InputError
from ds2ray.progress import Tell, untold
from ds2ray.sound.audio import AUDIO_SUFFIXES
from ds2ray.tables.default_ids import with_ids
from ds2ray.tables.encodings import Text
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind, shown

FILE_IDS, TRANSCRIPTION = ".fileids", ".transcription"
_LINE = re.compile(r"(?P<text>.*?)\s*\((?P<key>[^()\s]+)\)\s*")
_FILLERS = re.compile(r"<[^<>\s]*>|\+\+[^+\s]*\+\+|\[[^\[\]\s]*\]")


def read_sphinx(
    folder_uri: str, listed: Sequence[str] | None = None, tell: Tell = untold, encoding: str = ""
) -> list[Manifest]:
    """CMU Sphinx: `<s> YES </s> (an251-fash-b)` in `x.transcription`, and `an4_clstk/fash/an251-fash-b` in `x.fileids`.

    The last folder of a file's id names the speaker. Fillers (`<sil>`, `++NOISE++`) are no words.

    Args:
        listed: absolute URIs of all files in the folder; None: it is listed.
        encoding: of the text files; empty: UTF-8, or guessed, file by file.

    Returns:
        A manifest per .transcription that has a .fileids beside it.
    """
    listed = listed_files(folder_uri, listed)
    files = set(listed)
    tables = [uri for uri in sorted(listed) if uri.endswith(TRANSCRIPTION)]
    tables = [uri for uri in tables if uri.removesuffix(TRANSCRIPTION) + FILE_IDS in files]
    texts = read_texts(tables, tell, encoding)
    ids = read_texts([uri.removesuffix(TRANSCRIPTION) + FILE_IDS for uri in tables], tell, encoding)
    audio: defaultdict[str, list[str]] = defaultdict(list)
    for uri in sorted(listed):
        if PurePosixPath(uri).suffix.lower() in AUDIO_SUFFIXES:
            audio[plain_form(PurePosixPath(uri).stem)].append(uri)
    return [_table(*row, audio) for row in zip(tables, texts, ids, strict=True)]


def _table(uri: str, text: Text | InputError, ids: Text | InputError, audio: dict[str, list[str]]) -> Manifest:
    for content, place in ((text, uri), (ids, uri.removesuffix(TRANSCRIPTION) + FILE_IDS)):
        if isinstance(content, InputError):
            return Manifest(uri, [], [text_problem(uri, 1, place, content)])
    assert isinstance(text, Text)
    assert isinstance(ids, Text)
    id_of = {PurePosixPath(name.strip()).name: name.strip() for name in ids.content.split("\n") if name.strip()}
    manifest = Manifest(uri, [], notes=encoding_notes([text, ids]))
    utterances = []
    for number, row in enumerate(text.content.split("\n"), start=1):
        if not row.strip():
            continue
        match = _LINE.fullmatch(row.strip())
        file_id = id_of.get(PurePosixPath(match["key"]).name, "") if match else ""
        found = _audio_of(file_id, audio)
        if match is None or not found:
            manifest.problems.append(_problem(uri, number, row.strip(), match["key"] if match else "", file_id))
            continue
        speaker = plain_form(PurePosixPath(file_id).parent.name)
        said = " ".join(_FILLERS.sub(" ", match["text"]).split())
        utterances.append(Utterance(file_id, speaker, found, None, said, number))
    manifest.utterances = with_ids(utterances, uri, manifest.problems)
    return manifest


def _problem(uri: str, line: int, content: str, key: str, file_id: str) -> Problem:
    """Why a line of transcripts has no audio."""
    if not key:
        return Problem(uri, line, ProblemKind.row, "", shown(content), "no id", "write text (id)")
    reason = "there is no audio of this id" if file_id else f"the {FILE_IDS} has no such id"
    return Problem(uri, line, ProblemKind.row, "audio", shown(key), reason, "add it, or remove the line", key)


def _audio_of(file_id: str, audio: dict[str, list[str]]) -> str:
    """The file of an id; of one that lies there in several formats that whose suffix comes first."""
    if not file_id:
        return ""
    named = audio.get(plain_form(PurePosixPath(file_id).name), [])
    ends = f"/{plain_form(file_id)}"
    fitting = [uri for uri in named if plain_form(uri.rpartition(".")[0]).endswith(ends)] or named
    order = {suffix: place for place, suffix in enumerate(AUDIO_SUFFIXES)}
    return min(fitting, key=lambda uri: order[PurePosixPath(uri).suffix.lower()], default="")
