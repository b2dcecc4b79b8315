"""VoxForge: a folder per contribution, with prompts in `etc/` and audio in `wav/` or `flac/`."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from ds2ray.corpora.listing import (
    audio_problem,
    encoding_notes,
    listed_files,
    plain_form,
    read_texts,
    text_problem,
)
from ds2ray.errors import InputError
from ds2ray.progress import Tell, untold
from ds2ray.sound.audio import is_audio
from ds2ray.tables.default_ids import with_ids
from ds2ray.tables.encodings import Text
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind

PROMPTS = ("etc/PROMPTS", "etc/prompts-original")
"""Of several the first is read: it is the one that names every audio."""

_DATED = re.compile(r"-\d{8}(-.*)?$")
_ANONYMOUS = "anonymous"


def is_prompts(name: str) -> bool:
    """Whether this is a file of prompts, by its path."""
    return f"/{name}".endswith(tuple(f"/{prompts}" for prompts in PROMPTS))


def read_voxforge(
    folder_uri: str, listed: Sequence[str] | None = None, tell: Tell = untold, encoding: str = ""
) -> list[Manifest]:
    """VoxForge: `<name>-<date>-<code>/etc/PROMPTS` with lines `…/<file> TEXT`, and `wav/<file>.wav` or flac beside it.

    The name is the speaker's, and the whole folder where it is anonymous: nobody knows who that was. The utterance's
    id is `<folder>/<file>`.

    Args:
        listed: absolute URIs of all files in the folder; None: it is listed.
        encoding: of the prompts; empty: UTF-8, or guessed, file by file.

    Returns:
        A manifest per file of prompts. Audio without a prompt, and prompts that cannot be read, are problems.
    """
    listed = listed_files(folder_uri, listed)
    places: defaultdict[str, list[str]] = defaultdict(list)
    for uri in sorted(listed):
        if is_prompts(uri):
            places[_contribution(uri)].append(uri)
    chosen = {place: min(uris, key=_preference) for place, uris in places.items()}
    audio: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for uri in listed:
        if is_audio(uri) and _contribution(uri) in chosen:
            audio[_contribution(uri)][plain_form(PurePosixPath(uri).stem)] = uri
    texts = read_texts(list(chosen.values()), tell, encoding)
    return [
        _contribution_of(place, uri, text, audio[place])
        for (place, uri), text in zip(chosen.items(), texts, strict=True)
    ]


def _contribution(uri: str) -> str:
    """The folder that holds `etc/` or `wav/`, of one of their files."""
    return uri.rsplit("/", 2)[0]


def _preference(uri: str) -> int:
    return next(place for place, name in enumerate(PROMPTS) if uri.endswith(f"/{name}"))


def _contribution_of(place: str, uri: str, text: Text | InputError, audio: dict[str, str]) -> Manifest:
    folder = plain_form(PurePosixPath(place).name)
    name = _DATED.sub("", folder)
    speaker = folder if name.lower() == _ANONYMOUS else name
    if isinstance(text, InputError):
        return Manifest(uri, [], [text_problem(uri, 1, uri, text, speaker)])
    manifest = Manifest(uri, [], notes=encoding_notes([text]))
    utterances, said = [], set()
    for line, content in enumerate(text.content.split("\n"), start=1):
        key, _, transcript = content.strip().partition(" ")
        if not key:
            continue
        stem = plain_form(PurePosixPath(key).stem)
        said.add(stem)
        if stem not in audio:
            place_of = (uri, line, ProblemKind.row, "audio", key)
            remedy = "add the recording, or remove the line"
            manifest.problems.append(Problem(*place_of, "there is no audio of this name", remedy, "", speaker))
            continue
        utterances.append(Utterance(f"{folder}/{stem}", speaker, audio[stem], None, transcript.strip(), line))
    remedy = "add its line to the prompts, or remove it"
    manifest.problems += [
        audio_problem(uri, line, audio[stem], "no prompt names it", remedy)
        for line, stem in enumerate(sorted(audio.keys() - said), start=1)
    ]
    manifest.utterances = with_ids(utterances, uri, manifest.problems)
    manifest.problems.sort(key=lambda problem: problem.line)
    return manifest
