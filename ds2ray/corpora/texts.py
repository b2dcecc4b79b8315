"""Texts for language models: plain ones, a sentence a line, and the transcripts of manifests and corpora."""

from dataclasses import dataclass, field

from ds2ray import storage
from ds2ray.config import DataConfig, PrepareConfig
from ds2ray.corpora.corpus import read_corpus
from ds2ray.corpora.librispeech import LIBRISPEECH_SUFFIX
from ds2ray.errors import InputError
from ds2ray.progress import Tell, untold
from ds2ray.tables import encodings
from ds2ray.tables.formats import GZIP, read_unpacked
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.problems import Problem

TEXT = ".txt"


@dataclass(frozen=True)
class Text:
    """The sentences of one text or corpus, as they are written there.

    Attributes:
        problems: of the rows of tables that could not be read.
        notes: lines on how it was read, for the reader of a log.
    """

    uri: str
    sentences: list[str]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_text_or_corpus(uri: str, data: DataConfig, tell: Tell = untold) -> Text:
    """The sentences of a text (.txt, .txt.gz) or the transcripts of what `read_corpus` reads; no audio is opened.

    A .txt whose first line has a tab is KoSpeech's table of transcripts.

    Raises:
        InputError: there is nothing, or it cannot be read as a whole.
    """
    found = storage.absolute(uri).rstrip("/")
    if found.lower().removesuffix(GZIP).endswith(TEXT) and not found.endswith(LIBRISPEECH_SUFFIX):
        text = _plain(found, data.encoding)
        if text is not None:
            return text
    corpus = read_corpus(found, PrepareConfig(), data, tell)
    transcripts = [u.transcript for manifest in corpus.manifests for u in manifest.utterances if u.transcript.strip()]
    problems = [problem for manifest in corpus.manifests for problem in manifest.problems]
    return Text(corpus.uri, transcripts, problems, [*reading_notes(corpus.manifests), *corpus.notes])


def read_lines(uri: str, encoding: str = "") -> Text:
    """A plain text, packed or not: its lines that are not empty. Errors are those of `read_whole`."""
    text = read_whole(uri, encoding)
    notes = [f"read as {text.guessed}, a guess; name the encoding with data.encoding="] if text.guessed else []
    return Text(uri, [line for line in text.content.splitlines() if line.strip()], notes=notes)


def read_whole(uri: str, encoding: str = "") -> encodings.Text:
    """The content of a plain text, packed or not.

    Raises:
        InputError: there is no such file, it cannot be unpacked, or its encoding cannot be told.
    """
    try:
        return encodings.decoded(read_unpacked(uri), uri, encoding)
    except FileNotFoundError:
        raise InputError(f"{uri}: there is no such file") from None


def _plain(uri: str, encoding: str) -> Text | None:
    """A plain text; None for a table of transcripts."""
    text = read_lines(uri, encoding)
    return None if text.sentences and "\t" in text.sentences[0] else text
