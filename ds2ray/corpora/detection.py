"""The format of a corpus, told by the names of its files."""

from collections.abc import Sequence

from ds2ray.config import CorpusFormat
from ds2ray.corpora.folder import by_plain_form, text_file_of
from ds2ray.corpora.kaldi import TEXT, WAV_SCP
from ds2ray.corpora.kospeech import TRANSCRIPTS
from ds2ray.corpora.ksponspeech import TRN
from ds2ray.corpora.librispeech import LIBRISPEECH_SUFFIX
from ds2ray.corpora.sphinx import FILE_IDS
from ds2ray.corpora.voxforge import PROMPTS, is_prompts
from ds2ray.errors import InputError
from ds2ray.sound.audio import is_audio
from ds2ray.tables.formats import CSV, JSON, JSON_LINES, PARQUET, TSV, table_format
from ds2ray.tables.manifest import CLIPS

TABLES = (CSV, JSON_LINES, PARQUET)
"""What a folder's own table may be; others may be named."""

_MAX_SHOWN = 5


def is_file(uri: str) -> bool:
    """Whether a corpus is named by one of its files, not by its folder."""
    return table_format(uri) in (*TABLES, JSON, TSV, TRN, ".txt")


def format_of_file(uri: str) -> CorpusFormat:
    """The format of a corpus that is named by one of its files. Raises InputError where none fits."""
    if table_format(uri) in (*TABLES, JSON):
        return CorpusFormat.manifest
    if table_format(uri) == TRN:
        return CorpusFormat.ksponspeech
    if table_format(uri) == TSV:
        return CorpusFormat.common_voice
    if table_format(uri) == ".txt" and not uri.endswith(LIBRISPEECH_SUFFIX):
        return CorpusFormat.kospeech
    raise InputError(f"{uri}: not a corpus; name its folder, or a table ({', '.join(TABLES)}, .tsv, {TRANSCRIPTS})")


def format_of_folder(folder_uri: str, listed: Sequence[str]) -> CorpusFormat:
    """The format that the names of a folder's files fit.

    Args:
        listed: absolute URIs of all files in it.

    Raises:
        InputError: several formats fit, or none; says why.
    """
    names = [uri[len(folder_uri) :].lstrip("/") for uri in listed]
    top = [name for name in names if "/" not in name]
    signs: dict[CorpusFormat, str] = {}
    transcript_tables = [name for name in names if name.endswith(LIBRISPEECH_SUFFIX)]
    if transcript_tables:
        signs[CorpusFormat.librispeech] = transcript_tables[0]
    if TRANSCRIPTS in top:
        signs[CorpusFormat.kospeech] = TRANSCRIPTS
    value_tables = [name for name in top if name.lower().endswith(".tsv")]
    if value_tables and any(name.startswith(f"{CLIPS}/") for name in names):
        signs[CorpusFormat.common_voice] = f"{value_tables[0]}, {CLIPS}/"
    tables = [name for name in top if table_format(name) in TABLES and "vocab" not in name.lower()]
    if tables:
        signs[CorpusFormat.manifest] = ", ".join(tables[:_MAX_SHOWN])
    signs = signs or _signs_of_raw_corpora(names, top)
    audio = [uri for uri in listed if is_audio(uri)]
    files = by_plain_form(listed)
    if not signs and any(text_file_of(uri, folder_uri, files) for uri in audio):
        return CorpusFormat.folder
    if len(signs) == 1:
        return next(iter(signs))
    if signs:
        fitting = "; ".join(f"{kind.value} ({sign})" for kind, sign in signs.items())
        raise InputError(f"{folder_uri}: several formats fit: {fitting}; name one: prepare.format=…")
    found = ", ".join(names[:_MAX_SHOWN]) + (" …" if len(names) > _MAX_SHOWN else "")
    raise InputError(
        f"{folder_uri}: none of the known formats fits its {len(names)} files ({len(audio)} of audio; {found}): there "
        f"is no {TRANSCRIPTS} (kospeech), no *{LIBRISPEECH_SUFFIX} (librispeech), no .tsv with {CLIPS}/ "
        f"(common_voice), no {WAV_SCP} with {TEXT} (kaldi), no *{TRN} (ksponspeech), no *{FILE_IDS} (sphinx), no "
        f"{PROMPTS[0]} (voxforge), no table ({', '.join(TABLES)}; manifest) and no text file that is named as an audio "
        "file (folder); name the corpus's own folder, or write a manifest"
    )


def _signs_of_raw_corpora(names: Sequence[str], top: Sequence[str]) -> dict[CorpusFormat, str]:
    """Files of formats that other tables are made from: where such a table lies beside them, it is meant."""
    signs = {CorpusFormat.kaldi: f"{WAV_SCP}, {TEXT}"} if WAV_SCP in top and TEXT in top else {}
    for kind, found in (
        (CorpusFormat.ksponspeech, [name for name in names if name.lower().endswith(TRN)]),
        (CorpusFormat.sphinx, [name for name in names if name.endswith(FILE_IDS)]),
        (CorpusFormat.voxforge, [name for name in names if is_prompts(name)]),
    ):
        if found:
            signs[kind] = found[0]
    return signs
