"""KsponSpeech as it is published: `.trn` with lines `path :: text`, and raw `.pcm`."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.corpora.listing import encoding_notes, plain_form, read_texts, text_problem
from ds2ray.errors import InputError
from ds2ray.progress import Tell, untold
from ds2ray.tables.default_ids import with_ids
from ds2ray.tables.encodings import Text
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind, shown

TRN = ".trn"
_SEPARATOR = "::"
_TWICE_WRITTEN = re.compile(r"\(([^()]*)\)\s*/\s*\(([^()]*)\)")
_NOISE = re.compile(r"(?<![A-Za-z])[bnlou]/")
_MARKS = re.compile(r"[/+*]")


def spoken(text: str) -> str:
    """The words that are heard, out of a transcript in the corpus's notation.

    Of `(70%)/(칠십 퍼센트)` the pronounced form, the second, stays; marks of breath, noise, laughter, overlap and
    unclear speech (`b/ n/ l/ o/ u/`), of fillers (`어/`), stutters (`+`) and doubtful words (`*`) are taken out.
    """
    text = _TWICE_WRITTEN.sub(r"\2", text)
    return " ".join(_MARKS.sub("", _NOISE.sub(" ", text)).split())


def read_ksponspeech(
    trn_uris: Sequence[str],
    audio_root: str = "",
    listed: Sequence[str] = (),
    tell: Tell = untold,
    encoding: str = "",
) -> list[Manifest]:
    """KsponSpeech's transcripts, and those of other corpora of AI Hub in the same notation.

    Args:
        audio_root: the folder that audio paths start from; empty: that of the .trn.
        listed: absolute URIs of the files of the corpus: audio that is not where its path says is looked for among
            these by its name alone, as the parts of the corpus are unpacked in many ways.
        encoding: of the .trn; empty: UTF-8, or guessed.

    Returns:
        A manifest per .trn.
    """
    texts = read_texts(trn_uris, tell, encoding)
    files = {plain_form(uri): uri for uri in listed}
    by_name: dict[str, str] = {}
    for uri in listed:
        name = plain_form(PurePosixPath(uri).name)
        by_name[name] = "" if name in by_name else uri  # two of the same name say nothing
    return [_table(uri, text, audio_root, files, by_name) for uri, text in zip(trn_uris, texts, strict=True)]


def _table(
    uri: str, text: Text | InputError, audio_root: str, files: dict[str, str], by_name: dict[str, str]
) -> Manifest:
    if isinstance(text, InputError):
        return Manifest(uri, [], [text_problem(uri, 1, uri, text)])
    manifest = Manifest(uri, [], notes=encoding_notes([text]))
    folder = storage.join(storage.absolute(audio_root or storage.parent(uri)), "x")
    utterances = []
    changed = 0
    for line, content in enumerate(text.content.split("\n"), start=1):
        if not content.strip():
            continue
        path, separator, said = (part.strip() for part in content.partition(_SEPARATOR))
        if not separator or not path:
            remedy = f"write path {_SEPARATOR} text"
            place = (uri, line, ProblemKind.row, "", shown(content.strip()))
            manifest.problems.append(Problem(*place, f"no path and {_SEPARATOR}", remedy))
            continue
        audio = storage.resolve(path, folder)
        known = plain_form(audio) in files
        audio = audio if known else by_name.get(plain_form(PurePosixPath(path).name)) or audio
        changed += spoken(said) != " ".join(said.split())
        utterances.append(Utterance("", "", audio, None, spoken(said), line))
    if changed:
        manifest.notes["transcripts of which the pronounced form without marks is read"] = changed
    manifest.utterances = with_ids(utterances, uri, manifest.problems)
    return manifest
