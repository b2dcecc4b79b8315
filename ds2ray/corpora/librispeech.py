"""LibriSpeech: a table of transcripts beside the audio of each chapter."""

from collections.abc import Sequence

from ds2ray import storage
from ds2ray.corpora.listing import audio_problem, encoding_notes, listed_files, plain_form, read_texts, text_problem
from ds2ray.errors import InputError
from ds2ray.progress import Tell, untold
from ds2ray.tables.default_ids import with_ids
from ds2ray.tables.encodings import Text
from ds2ray.tables.manifest import Manifest, Utterance

LIBRISPEECH_SUFFIX = ".trans.txt"


def read_librispeech(
    folder_uri: str, listed: Sequence[str] | None = None, tell: Tell = untold, encoding: str = ""
) -> list[Manifest]:
    """LibriSpeech: `<speaker>-<chapter>.trans.txt` with lines `<id> <TEXT>`, and `<id>.flac` in the same folder.

    Args:
        listed: absolute URIs of all files in the folder; None: it is listed.

    Returns:
        A manifest per `.trans.txt`, with the first part of the utterance ids as user ids; and one of the folder, whose
        problems are the flac files without a transcript. A chapter whose table cannot be read is a problem of it.
    """
    listed = listed_files(folder_uri, listed)
    tables = sorted(uri for uri in listed if uri.endswith(LIBRISPEECH_SUFFIX))
    texts = read_texts(tables, tell, encoding)
    manifests = [_chapter(uri, text) for uri, text in zip(tables, texts, strict=True)]
    said = (u.audio for manifest in manifests for u in manifest.utterances if isinstance(u.audio, str))
    named = {plain_form(uri) for uri in said}
    nameless = sorted(uri for uri in listed if uri.lower().endswith(".flac") and plain_form(uri) not in named)
    remedy = f"add its line to the {LIBRISPEECH_SUFFIX} of its folder, or remove it"
    problems = [
        audio_problem(folder_uri, line, uri, "no transcript names it", remedy)
        for line, uri in enumerate(nameless, start=1)
    ]
    return [*manifests, *([Manifest(folder_uri, [], problems)] if problems else [])]


def _chapter(uri: str, text: Text | InputError) -> Manifest:
    if isinstance(text, InputError):
        return Manifest(uri, [], [text_problem(uri, 1, uri, text)])
    manifest = Manifest(uri, [], notes=encoding_notes([text]))
    utterances = []
    for line, content in enumerate(text.content.split("\n"), start=1):
        utterance_id, _, transcript = content.strip().partition(" ")
        if utterance_id:
            audio = storage.resolve(f"{utterance_id}.flac", uri)
            speaker = utterance_id.partition("-")[0]
            utterances.append(Utterance(utterance_id, speaker, audio, None, transcript.strip(), line))
    manifest.utterances = with_ids(utterances, uri, manifest.problems)
    return manifest
