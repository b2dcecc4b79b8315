"""Data in KoSpeech's format: lines `path<TAB>text<TAB>ids` of transcripts, and a CSV vocabulary `id,char,freq`."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from unicodedata import normalize

from ds2ray import storage
from ds2ray.config import TextConfig
from ds2ray.corpora.listing import encoding_notes
from ds2ray.errors import InputError
from ds2ray.tables.default_ids import with_ids
from ds2ray.tables.encodings import read_text
from ds2ray.tables.formats import CSV, table_format
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind, shown
from ds2ray.tables.rows import read_rows
from ds2ray.text import Vocabulary, tokens_of

TRANSCRIPTS = "transcripts.txt"
_COLUMNS = ("id", "char")
_SHOWN_IDS = 8  # of a row whose ids disagree with its text


def find_kospeech_vocabulary(transcripts_uri: str) -> str | None:
    """The only `*vocab*.csv` beside the transcripts, or None.

    Raises:
        InputError: there are several.
    """
    folder = storage.parent(storage.absolute(transcripts_uri))
    found = [info.uri for info in storage.list_objects(folder) if _is_vocabulary(PurePosixPath(info.uri).name)]
    if len(found) > 1:
        names = ", ".join(found)
        raise InputError(
            f"{transcripts_uri}: several vocabularies lie beside it: {names}; name one: train.vocab_path=…"
        )
    return found[0] if found else None


def _is_vocabulary(name: str) -> bool:
    return "vocab" in name.lower() and table_format(name) == CSV


def read_kospeech_vocabulary(csv_uri: str, text: TextConfig) -> Vocabulary:
    """The characters of a KoSpeech vocabulary in its order, special tokens such as `<sos>` left out.

    Characters are normalised as transcripts are, so those that no normalised transcript can hold (upper case,
    punctuation, as `text` says) get no token.

    Raises:
        InputError: the file is missing, malformed, or its tokens are not characters.
    """
    return _vocabulary(_characters(csv_uri), text, csv_uri)


def _vocabulary(id_of_character: dict[str, int], text: TextConfig, csv_uri: str) -> Vocabulary:
    units = dict.fromkeys(unit for character in id_of_character for unit in tokens_of(character, text))
    if not units:
        raise InputError(f"{csv_uri}: the vocabulary holds no character that normalised transcripts can hold")
    return Vocabulary.from_tokens(units, text)


def _characters(csv_uri: str) -> dict[str, int]:
    """KoSpeech's ids by character, in the order of the file."""
    table = read_rows(csv_uri, _COLUMNS)
    table.require(_COLUMNS)
    ids: dict[str, int] = {}
    problems = []
    for row in table.rows:
        token, number = normalize("NFC", row.cells["char"]), row.cells["id"].strip()
        if len(token) > 2 and token.startswith("<") and token.endswith(">"):
            continue  # <pad>, <sos>, <eos>, <unk>, <blank>
        place = (csv_uri, row.line, ProblemKind.row)
        if len(token) != 1:
            reason, remedy = "not one character", "subword vocabularies are not supported: leave train.vocab_path empty"
            problems.append(Problem(*place, "char", shown(token), reason, remedy))
        elif not number.isdecimal():
            problems.append(Problem(*place, "id", shown(number), "not a token id", "write a whole number"))
        elif token in ids:
            problems.append(Problem(*place, "char", shown(token), "given twice", "remove one of the rows"))
        else:
            ids[token] = int(number)
    problems = sorted([*table.problems, *problems], key=lambda problem: problem.line)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems[:_SHOWN_IDS])
        raise InputError(f"{csv_uri}: {len(problems)} rows of the vocabulary cannot be used:\n{lines}")
    return ids


def read_kospeech(
    transcripts_uri: str, dataset_uri: str, text: TextConfig, vocab_uri: str = "", encoding: str = ""
) -> tuple[Manifest, Vocabulary | None]:
    """Read KoSpeech's transcripts; audio paths start from `dataset_uri` (.pcm, .wav, .flac).

    Where a vocabulary is given, rows whose ids are not those of their text become problems. KoSpeech leaves characters
    out of the ids that its vocabulary lacks; so does this comparison, and validation reports them.

    Returns:
        The utterances, and the vocabulary, where one is given.

    Raises:
        InputError: a file is missing, in no encoding that can be read, or the vocabulary is malformed.
    """
    ids = _characters(vocab_uri) if vocab_uri else None
    try:
        content = read_text(transcripts_uri, encoding)
    except FileNotFoundError as error:
        raise InputError(f"{transcripts_uri}: there is no such file") from error
    folder = storage.join(storage.absolute(dataset_uri or storage.parent(transcripts_uri)), "x")
    manifest = Manifest(transcripts_uri, [], notes=encoding_notes([content]))
    utterances = []
    for line, row in _lines(content.content):
        problem = _problem_of(row, ids)
        if problem:
            column, value, reason, remedy = problem
            place = (transcripts_uri, line, ProblemKind.row)
            manifest.problems.append(Problem(*place, column, shown(value), reason, remedy))
        else:
            utterances.append(Utterance("", "", storage.resolve(row[0].strip(), folder), None, row[1], line))
    manifest.utterances = with_ids(utterances, transcripts_uri, manifest.problems)
    return manifest, None if ids is None else _vocabulary(ids, text, vocab_uri)


def _lines(content: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of every line that is not blank."""
    for line, row in enumerate(content.split("\n"), start=1):
        if row.strip():
            yield line, row.rstrip("\r").split("\t")


def _problem_of(row: list[str], id_of_character: dict[str, int] | None) -> tuple[str, str, str, str] | None:
    """Column, value, reason and remedy where a line cannot be used."""
    if len(row) not in (2, 3):
        return "", "\t".join(row), f"{len(row)} cells", "write path, text and ids with one tab between them"
    if not row[0].strip():
        return "audio", row[0], "no audio is given", "give the path of an audio file"
    if len(row) == 2 or id_of_character is None:
        return None
    expected = [id_of_character[c] for c in normalize("NFC", row[1]) if c in id_of_character]
    given = row[2].split()
    if given == [str(token_id) for token_id in expected]:
        return None
    first = " ".join(map(str, expected[:_SHOWN_IDS])) + (" …" if len(expected) > _SHOWN_IDS else "")
    reason = f"not the ids of the text, which are {first} in this vocabulary"
    return "ids", row[2], reason, "use the vocabulary that the transcripts were written with, or leave the ids out"
