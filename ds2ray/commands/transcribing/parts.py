"""jobs/transcribe.py into a folder: in parts, in this process or on Ray, gone on with after an interruption."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ds2ray import display, storage
from ds2ray.commands.transcribing.summary import Summary
from ds2ray.commands.wanted import MODEL_FILE_SUFFIX
from ds2ray.config import TranscribeJob
from ds2ray.errors import InterruptedRunError
from ds2ray.metrics import Score, score_texts
from ds2ray.recognition.parts import ManifestPart, PartsDone, cut_into_parts, open_folder, parts_record, seconds_of
from ds2ray.store import Store, read_complete_record
from ds2ray.tables.manifest import Utterance
from ds2ray.text import TextConfig, normalise

_COLUMNS = ["text", "adapter", "note", "error"]
_READ_AT_ONCE = 16
_SHOWN = 5


def recognise_into(job: TranscribeJob, store: Store, utterances: Sequence[Utterance], text: TextConfig) -> Summary:
    """Recognise utterances into the folder `job.output`, in parts; what is there already is not done again.

    Args:
        text: of the base, for counting errors.

    Raises:
        ConfigError: the folder holds parts of something else.
        InterruptedRunError: parts could not be recognised; running again does them.
    """
    folder_uri = storage.absolute(job.output.rstrip("/"))
    job, fingerprint = _with_base(job, store)
    parts = cut_into_parts(utterances, job.spread.part_s)
    there = open_folder(folder_uri, parts_record(job, utterances, parts, fingerprint))
    todo = [part for part in parts if part.number not in there]
    if len(todo) < len(parts):
        display.say(f"{folder_uri}: {len(parts) - len(todo)} of {len(parts)} parts are there already")
    if todo:
        before = sum(part.end - part.start for part in parts) - sum(part.end - part.start for part in todo)
        progress = PartsDone(todo, before, time.monotonic())
        on_ray = job.cluster.num_workers > 0 and sum(part.seconds for part in todo) >= job.spread.from_s
        recognise = _on_ray if on_ray else _here
        _refuse_missing(recognise(job, store, folder_uri, progress, utterances), len(parts))
    heard = read_parts(folder_uri, parts, utterances, text, job.text.display)
    display.say(f"wrote {len(utterances)} hypotheses to {folder_uri}, in {len(parts)} parts")
    return heard


def hint(job: TranscribeJob, utterances: Sequence[Utterance]) -> str:
    """What a folder would bring a job that has much to do and none; empty where it has little to do."""
    seconds = seconds_of(utterances)
    if seconds < job.spread.from_s or job.cluster.num_workers == 0:
        return ""
    return (
        f"{seconds / 3600:.1f} h of audio are recognised in this process, as one piece of work; with a folder, "
        "output=heard/, they are spread over Ray, and what is done is not done again after an interruption"
    )


def read_parts(
    folder_uri: str,
    parts: Sequence[ManifestPart],
    utterances: Sequence[Utterance],
    text: TextConfig,
    is_displayed: bool = False,
) -> Summary:
    """What was heard in all parts, with the errors where there are transcripts.

    Args:
        text: by which transcripts are normalised.
        is_displayed: whether the parts have texts for display, so that what was heard stands in the words alone.
    """
    display.doing("counting")
    heard = Summary()
    with ThreadPoolExecutor(_READ_AT_ONCE) as threads:
        columns = [*_COLUMNS, "words"] if is_displayed else _COLUMNS
        tables = threads.map(lambda part: storage.read_table(storage.join(folder_uri, part.name), columns), parts)
        for part, table in zip(parts, tables, strict=True):
            rows = table.to_pylist()
            if is_displayed:
                rows = [{**row, "text": " ".join(word["text"] for word in row["words"])} for row in rows]
            for row in rows:
                heard.add(row["adapter"], row["note"], row["error"])
            heard.score += _score(utterances[part.start : part.end], rows, text)
    return heard


def _score(utterances: Sequence[Utterance], rows: Sequence[Mapping[str, Any]], text: TextConfig) -> Score:
    pairs = [(u.transcript, row["text"]) for u, row in zip(utterances, rows, strict=True) if not row["error"]]
    judged = [(normalise(transcript, text), found) for transcript, found in pairs if transcript]
    return score_texts([transcript for transcript, _ in judged], [found for _, found in judged])


def _with_base(job: TranscribeJob, store: Store) -> tuple[TranscribeJob, str]:
    """The job with the base that is the newest now, also for the parts that are begun later, and its fingerprint."""
    if not job.base.endswith(MODEL_FILE_SUFFIX):
        record = read_complete_record(store, job.base)
        base = storage.absolute(job.base) if "/" in job.base else job.base
        return replace(job, base=base or record.base_id), record.fingerprint
    from ds2ray.model.files import load_model_file  # imports torch

    uri = storage.absolute(job.base)
    return replace(job, base=uri), load_model_file(uri, "cpu").fingerprint


def _here(
    job: TranscribeJob, store: Store, folder_uri: str, progress: PartsDone, utterances: Sequence[Utterance]
) -> dict[int, str]:
    display.doing("opening the base")
    from ds2ray.recognition.opening import open_transcriber, recognise_part  # imports torch

    transcriber = open_transcriber(job, store)
    for part in progress.todo:
        recognise_part(
            transcriber,
            utterances[part.start : part.end],
            storage.join(folder_uri, part.name),
            job.text,
            _telling(progress, part),
        )
        progress.finish(part)
    return {}


def _telling(progress: PartsDone, part: ManifestPart) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        progress.within[part.number] = done / max(1, total)
        _tell(progress)

    return tell


def _on_ray(
    job: TranscribeJob, store: Store, folder_uri: str, progress: PartsDone, utterances: Sequence[Utterance]
) -> dict[int, str]:
    from ds2ray.cluster.session import connected  # imports Ray
    from ds2ray.cluster.transcription import recognise_on_ray  # imports torch, too

    with connected(job.cluster):
        display.doing("starting workers")
        progress.started_s = time.monotonic()
        return recognise_on_ray(
            job, store, folder_uri, progress.todo, utterances, progress.finish, lambda: _tell(progress)
        )


def _tell(progress: PartsDone) -> None:
    display.doing("recognising", *progress.facts(time.monotonic()), share=progress.share())


def _refuse_missing(given_up: Mapping[int, str], num_parts: int) -> None:
    if not given_up:
        return
    shown = [f"part-{number:06d}: {reason}" for number, reason in sorted(given_up.items())[:_SHOWN]]
    more = [f"and {len(given_up) - _SHOWN} more"] if len(given_up) > _SHOWN else []
    raise InterruptedRunError(
        "\n  ".join(
            [f"{len(given_up)} of {num_parts} parts could not be recognised; the others are kept: run it again", *shown]
            + more
        )
    )
