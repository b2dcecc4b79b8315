"""The Transcriber that a job's settings name, and the recognition of a part."""

from collections.abc import Sequence

from ds2ray import storage
from ds2ray.config import TranscribeJob
from ds2ray.progress import TellDone, untold_done
from ds2ray.recognition.hypothesis_table import hypotheses_table
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance


def open_transcriber(job: TranscribeJob, store: Store) -> Transcriber:
    """The job's Transcriber. Raises as `Transcriber.open` does."""
    return Transcriber.open(
        store,
        job.base,
        batch_s=job.batch_s,
        max_open=job.max_open,
        vad=job.vad,
        max_segment_s=job.max_segment_s,
        decoder=job.decode,
        fresh_s=job.fresh_s,
    )


def recognise_part(
    transcriber: Transcriber, utterances: Sequence[Utterance], uri: str, tell: TellDone = untold_done
) -> None:
    """Recognise the utterances of a part, and write its file: whole, or not at all."""
    storage.write_table(uri, hypotheses_table(transcriber.transcribe_utterances(utterances, tell=tell)))
