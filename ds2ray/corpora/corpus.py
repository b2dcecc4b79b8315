"""A corpus of any known format: its utterances, and what is known of its files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.config import CorpusFormat, DataConfig, PrepareConfig, TextConfig
from ds2ray.config.fields import require
from ds2ray.corpora.common_voice import read_common_voice
from ds2ray.corpora.detection import TABLES, format_of_file, format_of_folder, is_file
from ds2ray.corpora.folder import read_folder, texts_without_audio
from ds2ray.corpora.kaldi import read_kaldi
from ds2ray.corpora.kospeech import TRANSCRIPTS, find_kospeech_vocabulary, read_kospeech
from ds2ray.corpora.ksponspeech import TRN, read_ksponspeech
from ds2ray.corpora.librispeech import read_librispeech
from ds2ray.corpora.sphinx import read_sphinx
from ds2ray.corpora.voxforge import read_voxforge
from ds2ray.errors import InputError
from ds2ray.progress import Tell, untold
from ds2ray.storage import ObjectInfo
from ds2ray.storage.reach import allowed
from ds2ray.tables.formats import table_format
from ds2ray.tables.manifest import READ_COLUMNS, Manifest, manifest_of
from ds2ray.tables.rows import read_rows
from ds2ray.tables.users import read_users

_FORMATS_OF_TREES = (
    *(CorpusFormat.auto, CorpusFormat.librispeech, CorpusFormat.folder),
    *(CorpusFormat.ksponspeech, CorpusFormat.sphinx, CorpusFormat.voxforge),
)
"""That are read out of the names of all files."""

_ONLY_OF = {
    "audio_root": (CorpusFormat.kospeech, CorpusFormat.ksponspeech, CorpusFormat.kaldi),
    "vocab_path": (CorpusFormat.kospeech,),
}
_OF_LHOTSE = "cuts"
_SHARD = re.compile(r"(?P<table>.+)-\d+-of-\d+\.parquet")
_MAX_SHOWN = 5


@dataclass
class Corpus:
    """The contents of a corpus.

    Attributes:
        manifests: utterances and problems by the table that they are from.
        objects: of its files, by URI, as far as listing the corpus has told.
        notes: lines on what was passed over, for the reader of a log.
    """

    uri: str
    format: CorpusFormat
    manifests: list[Manifest]
    objects: dict[str, ObjectInfo] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_corpus(source_uri: str, prepare: PrepareConfig, data: DataConfig, tell: Tell = untold) -> Corpus:
    """Read a corpus in the configured format, or in the one that its files tell.

    Audio is opened by nobody here; that which a Parquet manifest holds itself is held in memory.

    Raises:
        ConfigError: a setting says nothing of such a corpus.
        InputError: there is nothing, the format cannot be told, or a table is unreadable as a whole.
        StorageError: the store cannot be reached or refuses the credentials.
    """
    uri = storage.absolute(source_uri).rstrip("/")
    wanted, objects = prepare.format, {}
    if wanted in _FORMATS_OF_TREES and not is_file(uri):
        objects = {info.uri: info for info in storage.list_objects(uri, recursive=True)}
        if not objects:
            raise InputError(f"{uri}: there is nothing; correct the path of the corpus")
    listed = sorted(objects)
    if wanted is CorpusFormat.auto:
        wanted = format_of_file(uri) if is_file(uri) else format_of_folder(uri, listed)
    _refuse_without_effect(prepare, wanted)
    manifests = _read(uri, wanted, listed, prepare, data, tell)
    if prepare.user_id:
        manifests = [_with_user(manifest, prepare.user_id) for manifest in manifests]
    notes = []
    if wanted is CorpusFormat.folder and (unused := texts_without_audio(uri, listed)):
        more = " …" if len(unused) > _MAX_SHOWN else ""
        notes.append(f"text files without audio, passed over: {len(unused)}: {', '.join(unused[:_MAX_SHOWN])}{more}")
    return Corpus(uri, wanted, manifests, objects, notes)


def _refuse_without_effect(prepare: PrepareConfig, wanted: CorpusFormat) -> None:
    """Raise a ConfigError for a setting that says nothing of such a corpus."""
    for name, formats in _ONLY_OF.items():
        value = getattr(prepare, name)
        allowed = f"the corpus is {wanted.value}, and only {', '.join(f.value for f in formats)} reads it; leave it out"
        require(not value or wanted in formats, f"prepare.{name}", value, allowed)


def _read(
    uri: str, wanted: CorpusFormat, listed: Sequence[str], prepare: PrepareConfig, data: DataConfig, tell: Tell
) -> list[Manifest]:
    match wanted:
        case CorpusFormat.librispeech:
            return read_librispeech(_folder(uri, wanted), listed, tell, data.encoding)
        case CorpusFormat.folder:
            return read_folder(_folder(uri, wanted), listed, tell, data.encoding)
        case CorpusFormat.common_voice:
            return read_common_voice(uri, data.encoding)
        case CorpusFormat.kaldi:
            return read_kaldi(_folder(uri, wanted), prepare.audio_root, data.encoding)
        case CorpusFormat.ksponspeech:
            tables = [uri] if is_file(uri) else [name for name in listed if name.lower().endswith(TRN)]
            return read_ksponspeech(tables, prepare.audio_root, listed, tell, data.encoding)
        case CorpusFormat.sphinx:
            return read_sphinx(_folder(uri, wanted), listed, tell, data.encoding)
        case CorpusFormat.voxforge:
            return read_voxforge(_folder(uri, wanted), listed, tell, data.encoding)
        case CorpusFormat.kospeech:
            transcripts_uri = uri if is_file(uri) else storage.join(uri, TRANSCRIPTS)
            vocab_uri = prepare.vocab_path or find_kospeech_vocabulary(transcripts_uri) or ""
            return [read_kospeech(transcripts_uri, prepare.audio_root, TextConfig(), vocab_uri, data.encoding)[0]]
    tables = [uri] if is_file(uri) else _tables(uri)
    return [manifest for table in tables for manifest in _read_tables(table, data)]


def _folder(uri: str, wanted: CorpusFormat) -> str:
    if is_file(uri):
        raise InputError(f"{uri}: prepare.format={wanted.value} reads a folder; name that")
    return uri


def _tables(folder_uri: str) -> list[str]:
    """The table of a folder, or the shards that are one table together, as Hugging Face writes them."""
    tables = [info.uri for info in storage.list_objects(folder_uri) if table_format(info.uri) in TABLES]
    cuts = [uri for uri in tables if _OF_LHOTSE in PurePosixPath(uri).name]
    if len(tables) == 1 or len(cuts) == 1:
        return cuts if len(cuts) == 1 else tables
    shards = [_SHARD.fullmatch(PurePosixPath(uri).name) for uri in tables]
    if len({match and match["table"] for match in shards}) == 1 and all(shards):
        return tables
    found = f"there are {', '.join(PurePosixPath(uri).name for uri in tables)}" if tables else "there is none"
    raise InputError(f"{folder_uri}: one table ({', '.join(TABLES)}) is wanted, and {found}; name the table to read")


def _read_tables(uri: str, data: DataConfig) -> list[Manifest]:
    """One manifest, or those of a table `user_id,manifest`, a user each."""
    table = read_rows(uri, {*READ_COLUMNS, "manifest"}, data.encoding)
    if "audio" in table.columns or "manifest" not in table.columns:
        table.require(("audio", "transcript"))
        return [manifest_of(table)]
    users, problems = read_users(uri, data)
    return [*users, *([Manifest(uri, [], problems)] if problems else [])]


def _with_user(manifest: Manifest, user_id: str) -> Manifest:
    return replace(manifest, utterances=[u if u.user_id else replace(u, user_id=user_id) for u in manifest.utterances])


def audio_objects(corpus: Corpus, data: DataConfig | None = None) -> dict[str, ObjectInfo | None]:
    """Size and date of all files of audio that utterances name, and `data` allows; None where one is missing."""
    audio = (([u.audio for u in manifest.utterances], manifest.uri) for manifest in corpus.manifests)
    wanted = {uri for each, named_by in audio for uri in allowed(each, named_by, data or DataConfig())}
    known: dict[str, ObjectInfo | None] = {uri: info for uri, info in corpus.objects.items() if uri in wanted}
    return known | storage.stat_many(sorted(wanted - known.keys()), each_alone=True)
