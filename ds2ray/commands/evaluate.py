"""jobs/evaluate.py: for whom recognition works, and what adapters or another base change."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ds2ray import display, storage
from ds2ray.commands.wanted import BaseSettings, require_decoding, stored_base
from ds2ray.config import AudioConfig, DataConfig, DecoderKind, EvaluateJob
from ds2ray.errors import ConfigError, InputError
from ds2ray.evaluation.columns import Cells, read_with_columns
from ds2ray.evaluation.document import document
from ds2ray.evaluation.evaluation import Evaluation, evaluate
from ds2ray.evaluation.minutes import minutes_of_speech
from ds2ray.evaluation.page import page
from ds2ray.evaluation.tables import columns_shown, groups_table, summary_lines, systems_table
from ds2ray.naming import typed
from ds2ray.progress import TellDone
from ds2ray.store import Store, require_salt, server_outside
from ds2ray.tables.manifest import Manifest
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.problems import require_rows
from ds2ray.tables.validation import enforce, validate

if TYPE_CHECKING:
    from rich.table import Table

    from ds2ray.recognition.transcriber import Transcriber

DOCUMENT, PAGE = "evaluation.json", "evaluation.html"
AGAINST = "against"
"""The name of the other base in tables."""


def run(job: EvaluateJob) -> int:
    """Evaluate what the job names; returns the exit code. Raises InputError where nothing of it can be used."""
    with storage.using(server_outside(job.data, job.storage)):
        return _evaluate(job, Store.of(job.storage))


def _evaluate(job: EvaluateJob, store: Store) -> int:
    if not job.manifest:
        raise ConfigError(f"manifest is missing: give a table of utterances: {typed('evaluate')} test.csv")
    require_salt(store)
    display.doing("looking at the base and the utterances")
    base = stored_base(store, job.base)
    require_decoding(job.decode, store, job.base)
    if job.against:
        stored_base(store, job.against)
        require_decoding(job.decode, store, job.against)
    manifest, cells = read_with_columns(job.manifest, job.by, job.data.encoding)
    if not manifest.utterances and not manifest.problems:
        require_rows(0, [], job.data, job.manifest)
        display.say(f"{job.manifest}: nothing to evaluate")
        return 0
    checked = _usable(job, manifest, base.audio) if base else None  # its faults are told before torch is imported
    minutes = _minutes(job, base) if base else {}
    display.doing("opening the base")
    transcriber = _open(job, store, job.base)
    against = _compared_with(job, store, transcriber)
    if base is None:
        opened = transcriber.base
        minutes = _minutes(job, BaseSettings(opened.model_config, opened.audio, opened.vocabulary))
    checked = checked or _usable(job, manifest, transcriber.base.audio)
    _write(_judged(job, transcriber, against, checked, cells, minutes), job.output_dir)
    return 0


def _usable(job: EvaluateJob, manifest: Manifest, audio: AudioConfig) -> Manifest:
    """The manifest with its usable utterances; `user=` speaks for all of them."""
    checked = validate(manifest, data=job.data, audio=audio, vocabulary=None)
    enforce(checked, job.data)
    for problem in checked.problems:
        display.say(f"left out: {problem}")
    if not checked.utterances:
        raise InputError(f"{job.manifest}: no usable utterance")
    if not job.user:
        return checked
    return replace(checked, utterances=[replace(utterance, user_id=job.user) for utterance in checked.utterances])


def _minutes(job: EvaluateJob, base: BaseSettings) -> dict[str, float]:
    if not job.users:
        return {}
    tell = display.telling("reading the users' speech")
    # adapters do not learn from recordings that are longer than this, which may be recognised all the same
    data = replace(job.data, max_duration_s=min(job.data.max_duration_s, DataConfig().max_duration_s))
    return minutes_of_speech(job.users, data, base.shape, base.vocabulary, tell)


def _open(job: EvaluateJob, store: Store, base: str) -> "Transcriber":
    from ds2ray.recognition.transcriber import Transcriber  # imports torch

    return Transcriber.open(
        store, base, batch_s=job.batch_s, vad=job.vad, max_segment_s=job.max_segment_s, decoder=job.decode
    )


def _compared_with(job: EvaluateJob, store: Store, transcriber: "Transcriber") -> "dict[str, Transcriber]":
    """The other base that is named, and where decoding is not greedy the same base with greedy decoding."""
    from ds2ray.decoding.greedy import Greedy  # imports torch

    found = {AGAINST: _open(job, store, job.against)} if job.against else {}
    if job.decode.decoder is not DecoderKind.greedy:
        found[DecoderKind.greedy.value] = replace(transcriber, decoder=Greedy())
    return found


def _judged(
    job: EvaluateJob,
    transcriber: "Transcriber",
    against: "Mapping[str, Transcriber]",
    manifest: Manifest,
    cells: Cells,
    minutes: dict[str, float],
) -> Evaluation:
    """The evaluation of a manifest's usable utterances."""
    from ds2ray.recognition.judging import judge, judge_others, judging_notes, reliabilities  # imports torch
    from ds2ray.recognition.systems import hear, pairs_of

    vocabulary, utterances = transcriber.base.vocabulary, manifest.utterances
    heard = hear(transcriber, utterances, against, _telling)
    rows = judge(utterances, heard, cells.by_line, vocabulary.config)
    notes = [*_left_out(manifest), *reading_notes([manifest]), *judging_notes(heard, rows, vocabulary)]
    if not rows:
        raise InputError("\n  ".join([f"{job.manifest}: none of it could be recognised", *notes]))
    tell = _telling("other people's speech with each adapter")
    return evaluate(
        job.manifest,
        rows,
        [each.system for each in heard],
        pairs_of(heard),
        cells.columns,
        others=judge_others(transcriber, utterances, heard, rows, job.num_others, tell),
        minutes=minutes,
        notes=notes,
        reliability=reliabilities(utterances, heard, vocabulary.config),
    )


def _left_out(manifest: Manifest) -> list[str]:
    return [f"left out: {problem}" for problem in manifest.problems]


def _telling(what: str) -> TellDone:
    def tell(done: int, total: int) -> None:
        display.doing(f"recognising {what}", f"{done}/{total} utterances", share=done / max(1, total))

    return tell


def _write(evaluation: Evaluation, output_dir: str) -> None:
    """Print the tables and write the files."""
    display.idle()
    display.show(lambda width: systems_table(evaluation, width))
    for breakdown in columns_shown(evaluation.breakdowns):
        _show(groups_table(evaluation, breakdown))
    for line in [*summary_lines(evaluation), *_notes_shown(evaluation)]:
        display.say(line)
    document_uri, page_uri = storage.join(output_dir, DOCUMENT), storage.join(output_dir, PAGE)
    text = json.dumps(document(evaluation), ensure_ascii=False, indent=1, allow_nan=False)
    storage.write_bytes(document_uri, text.encode("utf-8", "backslashreplace"))  # ids may hold half of a surrogate pair
    storage.write_bytes(page_uri, page(evaluation).encode("utf-8", "backslashreplace"))
    display.say(f"wrote {document_uri} and {page_uri}")


def _show(table: "Table") -> None:
    display.show(lambda width: table)


def _notes_shown(evaluation: Evaluation) -> Sequence[str]:
    """The notes but for the rows that were left out, each of which has been told already."""
    return [note for note in evaluation.notes if not note.startswith("left out: " + evaluation.manifest)]
