"""jobs/demo.py: the whole way, from sound to fewer errors, on one small machine."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from ds2ray import display, storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.commands import train
from ds2ray.config import AdaptJob, DataConfig, DemoJob, StorageConfig, TrainJob
from ds2ray.demo.corpus import DemoCorpus, make_corpus
from ds2ray.metrics import Score
from ds2ray.progress import TellDone
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import Store, user_key
from ds2ray.store.index import read_index
from ds2ray.store.outcomes import read_outcomes
from ds2ray.tables.manifest import read_manifest
from ds2ray.tables.users import read_users


@dataclass(frozen=True)
class DemoRow:
    """One user of the final table: errors are those of the test sentences."""

    user_id: str
    speech_s: float  # that the adapter was trained on
    before: Score
    after: Score
    seconds: float  # of training


def run(job: DemoJob) -> int:
    """Make, train, adapt, test; returns the exit code."""
    started_s = time.monotonic()
    display.say("1/4 speaking a corpus with espeak-ng …")
    corpus = make_corpus(
        storage.join(job.output_dir, "corpus"),
        num_train_sentences=job.num_train_sentences,
        num_user_sentences=job.num_user_sentences,
        num_test_sentences=job.num_test_sentences,
        seed=job.seed,
        progress=lambda done, total: display.doing("speaking", f"{done}/{total} sentences", share=done / total),
    )
    settings = StorageConfig(root=_store_root(job))
    display.say("2/4 training a base on ordinary voices …")
    job.train.manifest, job.train.valid_manifest = corpus.train_manifest, corpus.valid_manifest
    job.train.output_dir = storage.join(job.output_dir, "outputs")
    code = train.run(TrainJob(model=job.model, audio=job.audio, train=job.train, storage=settings, cluster=job.cluster))
    if code:
        return code
    display.say("3/4 adapting eight users who speak differently …")
    adapt_job = AdaptJob(
        users=corpus.users_csv, adapter=job.adapter, adapt=job.adapt, storage=settings, cluster=job.cluster
    )
    code = adapt.run(adapt_job)
    if code:
        return code
    display.say("4/4 recognising test sentences that no training and no gate has seen …")
    rows = test_users(corpus, Store.of(settings))
    _show(rows, job, corpus, time.monotonic() - started_s)
    return 0


def test_users(corpus: DemoCorpus, store: Store) -> list[DemoRow]:
    """Recognise every user's test sentences by the base alone and with the user's adapter."""
    transcriber = Transcriber.open(store)
    utterances = read_manifest(corpus.test_manifest).utterances
    alone = transcriber.transcribe_utterances(utterances, use_adapters=False, tell=_telling("recognising by the base"))
    adapted = transcriber.transcribe_utterances(utterances, tell=_telling("recognising with the users' adapters"))
    speech = {user.user_id: user.utterances for user in read_users(corpus.users_csv, DataConfig())[0]}
    run_ids = sorted({row.run_id for row in read_index(store).values()})
    outcome_of = {row.user_key: row for run_id in run_ids for row in read_outcomes(store, run_id)}
    rows = []
    for user_id in corpus.user_ids:
        own = [row for row, utterance in enumerate(utterances) if utterance.user_id == user_id]
        references = [utterances[row].transcript for row in own]
        rows.append(
            DemoRow(
                user_id=user_id,
                speech_s=sum(utterance.duration_s or 0.0 for utterance in speech[user_id]),
                before=transcriber.score(references, [alone[row] for row in own]),
                after=transcriber.score(references, [adapted[row] for row in own]),
                seconds=outcome_of[user_key(user_id)].seconds,
            )
        )
    return rows


def _telling(phase: str) -> TellDone:
    return lambda done, total: display.doing(phase, f"{done}/{total} sentences", share=done / total)


def result_line(rows: Sequence[DemoRow], seconds: float) -> str:
    """The demo's last line: mean WER over users in percent, and how many users got worse."""
    before = sum(100 * row.before.words.rate() for row in rows) / len(rows)
    after = sum(100 * row.after.words.rate() for row in rows) / len(rows)
    worse = sum(row.after.words.rate() > row.before.words.rate() for row in rows)
    return f"demo: users={len(rows)} wer_before={before:.1f} wer_after={after:.1f} worse={worse} seconds={seconds:.0f}"


def _table(rows: Sequence[DemoRow]) -> Table:
    table = Table(title="errors on test sentences, by the base alone → with the user's own adapter")
    table.add_column("user")
    for name in ("minutes of speech", "WER", "CER", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.user_id,
            f"{row.speech_s / 60:.1f}",
            f"{row.before.words.rate():.1%} → {row.after.words.rate():.1%}",
            f"{row.before.characters.rate():.1%} → {row.after.characters.rate():.1%}",
            f"{row.seconds:.1f}",
        )
    return table


def _show(rows: Sequence[DemoRow], job: DemoJob, corpus: DemoCorpus, seconds: float) -> None:
    display.show(lambda width: _table(rows))
    user_id = corpus.user_ids[0]
    example = next(u for u in read_manifest(corpus.test_manifest).utterances if u.user_id == user_id)
    audio, root, python = (_shown(path) for path in (str(example.audio), _store_root(job), sys.executable))
    display.say(f"wrote {corpus.root}  the corpus: FLAC files and manifests")
    display.say(f"      {job.train.output_dir}  model.pt, checkpoints, TensorBoard files")
    display.say(f"      {root}  the store: the base, each user's adapter, runs and their outcomes")
    display.say("try next:")
    display.say(f"  {python} jobs/transcribe.py {audio} user={user_id} storage.root={root}")
    display.say(f"  {python} jobs/adapt_users.py {corpus.users_csv} storage.root={root} --dry-run")
    display.say(f"  {python} jobs/sweep_adapters.py {corpus.users_csv} storage.root={root}")
    display.say(result_line(rows, seconds))


def _store_root(job: DemoJob) -> str:
    return storage.join(job.output_dir, "store")


def _shown(path: str) -> str:
    """A path as one would type it: relative where it lies below the working directory."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
