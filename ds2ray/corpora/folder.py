"""Corpora as they are published: LibriSpeech, Common Voice, and folders with a text file for each audio file."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.progress import Tell, untold
from ds2ray.sound.audio import PCM_SUFFIX
from ds2ray.tables.manifest import Manifest, Utterance, manifest_of, with_ids
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.tables.rows import Row, RowTable, read_text

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", PCM_SUFFIX})
LIBRISPEECH_SUFFIX = ".trans.txt"
CLIPS = "clips"
TEXT_FOLDER = "txt"
LAYOUT_FOLDERS = frozenset({"audio", "clips", "flac", "mp3", "ogg", "pcm", "wav"})
"""Names of folders that say what is in them, not who speaks."""

_PREFERRED_TSV = "validated.tsv"
_DURATIONS_TSV = "clip_durations.tsv"
_CV_COLUMNS = {"client_id": "user_id", "path": "audio", "sentence": "transcript"}
_THREADS = 32  # text files that are being read at once


def read_librispeech(folder_uri: str, listed: Sequence[str] | None = None, tell: Tell = untold) -> list[Manifest]:
    """LibriSpeech: `<speaker>-<chapter>.trans.txt` with lines `<id> <TEXT>`, and `<id>.flac` in the same folder.

    Args:
        listed: absolute URIs of all files in the folder; None: it is listed.

    Returns:
        A manifest per `.trans.txt`, with the first part of the utterance ids as user ids; and one of the folder, whose
        problems are the flac files without a transcript.

    Raises:
        InputError: a transcript file is not UTF-8.
    """
    listed = _listed(folder_uri, listed)
    tables = sorted(uri for uri in listed if uri.endswith(LIBRISPEECH_SUFFIX))
    manifests = [_chapter(uri, text) for uri, text in zip(tables, _texts(tables, tell), strict=True)]
    named = {utterance.audio for manifest in manifests for utterance in manifest.utterances}
    nameless = sorted(uri for uri in listed if uri.lower().endswith(".flac") and uri not in named)
    remedy = f"add its line to the {LIBRISPEECH_SUFFIX} of its folder, or remove it"
    problems = [
        _audio_problem(folder_uri, line, uri, "no transcript names it", remedy)
        for line, uri in enumerate(nameless, start=1)
    ]
    return [*manifests, *([Manifest(folder_uri, [], problems)] if problems else [])]


def _chapter(uri: str, text: str) -> Manifest:
    manifest = Manifest(uri, [])
    utterances = []
    for line, content in enumerate(text.split("\n"), start=1):
        utterance_id, _, transcript = content.strip().partition(" ")
        if utterance_id:
            audio = storage.resolve(f"{utterance_id}.flac", uri)
            speaker = utterance_id.partition("-")[0]
            utterances.append(Utterance(utterance_id, speaker, audio, None, transcript.strip(), line))
    manifest.utterances = with_ids(utterances, uri, manifest.problems)
    return manifest


def read_common_voice(uri: str) -> list[Manifest]:
    """Common Voice: a table of tab-separated values with `client_id`, `path` and `sentence`, and the audio in `clips/`.

    Durations come from `clip_durations.tsv`, where that lies beside the table.

    Args:
        uri: of a .tsv, or of a release's folder, of which `validated.tsv` is read, or the only .tsv there is.

    Raises:
        InputError: there is no such table, it lacks a column, or is not UTF-8.
    """
    tsv_uri = uri if uri.lower().endswith(".tsv") else _only_tsv(uri)
    durations_s = _clip_durations_s(storage.resolve(_DURATIONS_TSV, tsv_uri))
    table = RowTable(tsv_uri, list(_CV_COLUMNS.values()))
    header, rows = _read_tsv(table)
    missing = [name for name in _CV_COLUMNS if name not in header]
    if missing:
        raise InputError(f"{tsv_uri}: the table has no column {' or '.join(missing)}; it has {', '.join(header)}")

    def renamed() -> Iterator[Row]:
        for line, cells in rows:
            values = {ours: cells[header.index(theirs)].strip() for theirs, ours in _CV_COLUMNS.items()}
            if values["audio"]:
                name = PurePosixPath(values["audio"]).name
                values["audio"] = f"{CLIPS}/{name}" if PurePosixPath(name).suffix else f"{CLIPS}/{name}.mp3"
                values["duration_s"] = durations_s.get(name, "")
            yield Row(line, values)

    table.rows = renamed()
    return [manifest_of(table)]


def _only_tsv(folder_uri: str) -> str:
    tables = [info.uri for info in storage.list_objects(folder_uri) if info.uri.lower().endswith(".tsv")]
    preferred = [uri for uri in tables if PurePosixPath(uri).name == _PREFERRED_TSV] or tables
    if len(preferred) == 1:
        return preferred[0]
    found = f"there are {', '.join(PurePosixPath(uri).name for uri in tables)}" if tables else "there is no .tsv"
    raise InputError(f"{folder_uri}: no {_PREFERRED_TSV}; {found}: name the table to read, as {folder_uri}/train.tsv")


def _read_tsv(table: RowTable) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Header and rows; quotes have no meaning in these tables. Rows of another length become problems."""
    try:
        text = read_text(table.uri)
    except FileNotFoundError as error:
        raise InputError(f"{table.uri}: there is no such file") from error
    lines = [line.rstrip("\r").split("\t") for line in text.split("\n")]
    header = [name.strip() for name in lines[0]]

    def rows() -> Iterator[tuple[int, list[str]]]:
        for line, cells in enumerate(lines[1:], start=2):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) == len(header):
                yield line, cells
            else:
                reason = f"{len(cells)} cells, but the header has {len(header)}"
                table.add_problem(line, "\t".join(cells), reason, "put exactly one tab between two cells")

    return header, rows()


def _clip_durations_s(uri: str) -> dict[str, str]:
    """Seconds by the name of the clip; what cannot be read is left to the audio itself."""
    if not storage.exists(uri):
        return {}
    _, rows = _read_tsv(RowTable(uri, []))
    pairs = (cells for _, cells in rows if len(cells) == 2 and cells[1].strip().isdecimal())
    return {clip: str(int(duration_ms) / 1000) for clip, duration_ms in pairs}


def read_folder(folder_uri: str, listed: Sequence[str] | None = None, tell: Tell = untold) -> list[Manifest]:
    """Audio files, each with a text file of the same name: beside it, or with `txt/` for one folder of its path.

    The utterance's id is the path without its suffix. The first folder names the speaker, unless it only says what is
    in it (`wav/`, `audio/`, …): `john/01.wav` is john's, `wav/01.wav` with `txt/01.txt` is nobody's.

    Args:
        listed: absolute URIs of all files in the folder; None: it is listed.

    Returns:
        One manifest, whose lines are the numbers of the audio files in the order of their names.

    Raises:
        InputError: a text file is not UTF-8.
    """
    listed = _listed(folder_uri, listed)
    files = set(listed)
    audio = sorted(uri for uri in listed if _is_audio(uri))
    texts = [text_file_of(uri, folder_uri, files) for uri in audio]
    contents = iter(_texts([uri for uri in texts if uri], tell))
    manifest = Manifest(folder_uri, [])
    utterances = []
    for line, (uri, text_uri) in enumerate(zip(audio, texts, strict=True), start=1):
        if text_uri is None:
            remedy = "write what is said into a .txt of the same name, or remove the audio"
            manifest.problems.append(_audio_problem(folder_uri, line, uri, "has no text file", remedy))
            continue
        parts = PurePosixPath(uri[len(folder_uri) :].lstrip("/")).with_suffix("").parts
        speaker = parts[0] if len(parts) > 1 and parts[0].lower() not in LAYOUT_FOLDERS else ""
        transcript = " ".join(next(contents).split())
        utterances.append(Utterance("/".join(parts), speaker, uri, None, transcript, line))
    manifest.utterances = with_ids(utterances, folder_uri, manifest.problems)
    manifest.problems.sort(key=lambda problem: problem.line)
    return [manifest]


def texts_without_audio(folder_uri: str, listed: Sequence[str]) -> list[str]:
    """Text files that belong to no audio file: a README, or words whose recording is lost."""
    files = set(listed)
    used = {text_file_of(uri, folder_uri, files) for uri in listed if _is_audio(uri)}
    return sorted(uri for uri in listed if uri.lower().endswith(".txt") and uri not in used)


def _is_audio(uri: str) -> bool:
    return PurePosixPath(uri).suffix.lower() in AUDIO_SUFFIXES


def text_file_of(audio_uri: str, folder_uri: str, files: set[str]) -> str | None:
    """The text file that belongs to an audio file of the folder, if there is one."""
    *folders, name = PurePosixPath(audio_uri[len(folder_uri) :].lstrip("/")).with_suffix(".txt").parts
    candidates = [[*folders, name]]
    candidates += [[*folders[:i], TEXT_FOLDER, *folders[i + 1 :], name] for i in reversed(range(len(folders)))]
    uris = (storage.join(folder_uri, *parts) for parts in candidates)
    return next((uri for uri in uris if uri in files), None)


def _listed(folder_uri: str, listed: Sequence[str] | None) -> Sequence[str]:
    return [info.uri for info in storage.list_objects(folder_uri, recursive=True)] if listed is None else listed


def _texts(uris: Sequence[str], tell: Tell) -> list[str]:
    contents = []
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for text in pool.map(read_text, uris):
                contents.append(text)
                tell(f"reading: {len(contents)} of {len(uris)} text files")
            return contents
        except BaseException:
            pool.shutdown(cancel_futures=True)  # a store that does not answer is not asked for all the others
            raise


def _audio_problem(manifest_uri: str, line: int, audio_uri: str, reason: str, remedy: str) -> Problem:
    return Problem(manifest_uri, line, ProblemKind.row, "audio", audio_uri, reason, remedy)
