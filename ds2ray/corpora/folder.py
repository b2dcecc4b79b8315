"""Folders with a text file for each audio file."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.corpora.listing import audio_problem, encoding_notes, listed_files, plain_form, read_texts, text_problem
from ds2ray.errors import InputError
from ds2ray.progress import Tell, untold
from ds2ray.sound.audio import is_audio
from ds2ray.tables.default_ids import with_ids
from ds2ray.tables.manifest import Manifest, Utterance

TEXT_FOLDER = "txt"
LAYOUT_FOLDERS = frozenset({"audio", "clips", "flac", "mp3", "ogg", "pcm", "wav"})
"""Names of folders that say what is in them, not who speaks."""


def read_folder(
    folder_uri: str, listed: Sequence[str] | None = None, tell: Tell = untold, encoding: str = ""
) -> list[Manifest]:
    """Audio files, each with a text file of the same name: beside it, or with `txt/` for one folder of its path.

    The utterance's id is the path without its suffix. The first folder names the speaker, unless it only says what is
    in it (`wav/`, `audio/`, …): `john/01.wav` is john's, `wav/01.wav` with `txt/01.txt` is nobody's.

    Args:
        listed: absolute URIs of all files in the folder; None: it is listed.
        encoding: of the text files; empty: UTF-8, or guessed, file by file.

    Returns:
        One manifest, whose lines are the numbers of the audio files in the order of their names. A text file that
        cannot be read is a problem of its audio.
    """
    listed = listed_files(folder_uri, listed)
    files = by_plain_form(listed)
    audio = sorted(uri for uri in listed if is_audio(uri))
    texts = [text_file_of(uri, folder_uri, files) for uri in audio]
    contents = read_texts([uri for uri in texts if uri], tell, encoding)
    text_of = dict(zip([uri for uri in texts if uri], contents, strict=True))
    manifest = Manifest(folder_uri, [], notes=encoding_notes(contents))
    utterances = []
    for line, (uri, text_uri) in enumerate(zip(audio, texts, strict=True), start=1):
        if text_uri is None:
            remedy = "write what is said into a .txt of the same name, or remove the audio"
            manifest.problems.append(audio_problem(folder_uri, line, uri, "has no text file", remedy))
            continue
        parts = PurePosixPath(uri[len(folder_uri) :].lstrip("/")).with_suffix("").parts
        speaker = parts[0] if len(parts) > 1 and parts[0].lower() not in LAYOUT_FOLDERS else ""
        speaker = plain_form(speaker)
        text = text_of[text_uri]
        if isinstance(text, InputError):
            manifest.problems.append(text_problem(folder_uri, line, text_uri, text, speaker))
            continue
        transcript = " ".join(text.content.split())
        utterances.append(Utterance("/".join(parts), speaker, uri, None, transcript, line))
    manifest.utterances = with_ids(utterances, folder_uri, manifest.problems)
    manifest.problems.sort(key=lambda problem: problem.line)
    return [manifest]


def texts_without_audio(folder_uri: str, listed: Sequence[str]) -> list[str]:
    """Text files that belong to no audio file: a README, or words whose recording is lost."""
    files = by_plain_form(listed)
    used = {text_file_of(uri, folder_uri, files) for uri in listed if is_audio(uri)}
    return sorted(uri for uri in listed if uri.lower().endswith(".txt") and uri not in used)


def by_plain_form(uris: Sequence[str]) -> dict[str, str]:
    """Files by what they are called, whether their letters are composed or decomposed."""
    return {plain_form(uri): uri for uri in uris}


def text_file_of(audio_uri: str, folder_uri: str, files: Mapping[str, str]) -> str | None:
    """The text file that belongs to an audio file of the folder, if there is one.

    Args:
        files: of the folder, as `by_plain_form` gives them.
    """
    *folders, name = PurePosixPath(audio_uri[len(folder_uri) :].lstrip("/")).with_suffix(".txt").parts
    candidates = [[*folders, name]]
    candidates += [[*folders[:i], TEXT_FOLDER, *folders[i + 1 :], name] for i in reversed(range(len(folders)))]
    uris = (storage.join(folder_uri, *parts) for parts in candidates)
    return next((files[plain_form(uri)] for uri in uris if plain_form(uri) in files), None)
