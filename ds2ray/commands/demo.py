"""jobs/demo.py: the whole way, from sound to fewer errors, on one small machine."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ds2ray import display, storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.commands import language_model, train
from ds2ray.commands.wanted import require_place
from ds2ray.config import (
    AdaptJob,
    ClusterConfig,
    DataConfig,
    DecodeConfig,
    DecoderKind,
    DemoJob,
    LanguageModelJob,
    StorageConfig,
    TrainJob,
)
from ds2ray.config.text import OF_THE_BASE
from ds2ray.demo.corpus import DemoCorpus, make_corpus, with_silence
from ds2ray.demo.gains import Comparison, DemoRow, gains_png, gains_table, result_line
from ds2ray.metrics import Score
from ds2ray.naming import typed
from ds2ray.progress import TellDone
from ds2ray.shapes.architectures import shape_of
from ds2ray.store import Store, publish_calibrations, user_key
from ds2ray.store.index import read_index
from ds2ray.store.outcomes import read_outcomes
from ds2ray.tables.manifest import Utterance, read_manifest
from ds2ray.tables.users import read_users

if TYPE_CHECKING:
    from ds2ray.recognition.transcriber import Transcriber

WITH_MODEL = DecodeConfig(decoder=DecoderKind.beam, language_model=OF_THE_BASE)
BASE_CPUS = 2.0
SILENCE_S = 0.5
"""On each side of a test sentence, in the column that shows it."""


def run(job: DemoJob) -> int:
    """Make, train, adapt, test; returns the exit code."""
    started_s = time.monotonic()
    require_place(job.adapter, shape_of(job.model, job.audio))
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
    train_settings = replace(
        job.train,
        manifest=corpus.train_manifest,
        valid_manifest=corpus.valid_manifest,
        output_dir=_training_folder(job),
    )
    code = train.run(
        TrainJob(
            model=job.model, audio=job.audio, train=train_settings, storage=settings, cluster=_for_the_base(job.cluster)
        )
    )
    if code:
        return code
    language_model.run(LanguageModelJob(texts=[corpus.train_manifest], storage=settings))
    display.say("3/4 adapting eight users who speak differently …")
    adapt_job = AdaptJob(
        users=corpus.users_csv, adapter=job.adapter, adapt=job.adapt, storage=settings, cluster=job.cluster
    )
    code = adapt.run(adapt_job)
    if code:
        return code
    display.say("4/4 recognising test sentences that no training and no gate has seen …")
    calibrate_with_model(corpus, Store.of(settings))
    rows = test_users(corpus, Store.of(settings), storage.join(job.output_dir, "silence"))
    _show(rows, job, corpus, time.monotonic() - started_s)
    return 0


def calibrate_with_model(corpus: DemoCorpus, store: Store) -> None:
    """Calibrate decoding with the language model, on the sentences by which training has calibrated the others."""
    from ds2ray.recognition.calibrating import calibrate, described  # import torch
    from ds2ray.recognition.transcriber import Transcriber

    transcriber = Transcriber.open(store, decoder=WITH_MODEL)
    ordinary = [replace(utterance, user_id="") for utterance in read_manifest(corpus.valid_manifest).utterances]
    tell = _telling("calibrating the language model on ordinary sentences")
    found = calibrate(transcriber, ordinary, [transcriber.decoder], tell)
    if found:
        publish_calibrations(store, transcriber.base.base_id, {name: asdict(each) for name, each in found.items()})
        display.say(f"confidence of words is calibrated, with expected errors of {described(found)}")


def test_users(corpus: DemoCorpus, store: Store, silence_folder: str) -> list[DemoRow]:
    """Recognise every user's test sentences by the base alone and with the user's adapter, as they are, with the
    language model, and with silence around them; copies of that kind are written to `silence_folder`."""
    from ds2ray.recognition.transcriber import Transcriber  # imports torch

    transcriber = Transcriber.open(store)
    utterances = read_manifest(corpus.test_manifest).utterances
    plain = _compared(transcriber, utterances, "test sentences")
    by_model = Transcriber.open(store, decoder=WITH_MODEL)
    with_model = _compared(by_model, utterances, "them with the language model")
    in_silence = _compared(transcriber, with_silence(utterances, silence_folder, SILENCE_S), "them in silence")
    speech = {user.user_id: user.utterances for user in read_users(corpus.users_csv, DataConfig())[0]}
    run_ids = sorted({row.run_id for row in read_index(store).values()})
    outcome_of = {row.user_key: row for run_id in run_ids for row in read_outcomes(store, run_id)}
    return [
        DemoRow(
            user_id=user_id,
            speech_s=sum(utterance.duration_s or 0.0 for utterance in speech[user_id]),
            plain=plain[user_id],
            with_model=with_model[user_id],
            in_silence=in_silence[user_id],
            seconds=outcome_of[user_key(user_id)].seconds,
        )
        for user_id in corpus.user_ids
    ]


def _compared(transcriber: "Transcriber", utterances: Sequence[Utterance], what: str) -> dict[str, Comparison]:
    """By user, the errors of the base alone and with the user's adapter."""
    alone = transcriber.transcribe_utterances(
        utterances, use_adapters=False, tell=_telling(f"recognising {what} by the base")
    )
    adapted = transcriber.transcribe_utterances(utterances, tell=_telling(f"recognising {what} with adapters"))
    before: dict[str, list[Score]] = {}
    after: dict[str, list[Score]] = {}
    for utterance, by_base, by_adapter in zip(utterances, alone, adapted, strict=True):
        for scores, hypothesis in ((before, by_base), (after, by_adapter)):
            score = transcriber.score([utterance.transcript], [hypothesis])
            scores.setdefault(utterance.user_id, []).append(score)
    return {user_id: Comparison(tuple(before[user_id]), tuple(after[user_id])) for user_id in before}


def _telling(phase: str) -> TellDone:
    return lambda done, total: display.doing(phase, f"{done}/{total} sentences", share=done / total)


def _show(rows: Sequence[DemoRow], job: DemoJob, corpus: DemoCorpus, seconds: float) -> None:
    display.idle()
    display.show(lambda width: gains_table(rows, SILENCE_S, width))
    picture = storage.join(job.output_dir, "gains.png")
    storage.write_bytes(picture, gains_png(rows))
    user_id = corpus.user_ids[0]
    example = next(u for u in read_manifest(corpus.test_manifest).utterances if u.user_id == user_id)
    audio, root, python = (_shown(path) for path in (str(example.audio), _store_root(job), sys.executable))
    display.say(f"wrote {corpus.root}  the corpus: FLAC files and manifests")
    display.say(f"      {_training_folder(job)}  model.pt, checkpoints, TensorBoard files")
    display.say(f"      {root}  the store: the base, its language model, each user's adapter, runs, outcomes")
    display.say(f"      {picture}  the table's WER as a picture")
    display.say("try next:")
    display.say(f"  {typed('transcribe', python)} {audio} user={user_id} storage.root={root}")
    display.say(f"  {typed('adapt_users', python)} {corpus.users_csv} storage.root={root} --dry-run")
    display.say(f"  {typed('sweep_adapters', python)} {corpus.users_csv} storage.root={root}")
    display.say(result_line(rows, seconds))


def _training_folder(job: DemoJob) -> str:
    return storage.join(job.output_dir, "outputs")


def _for_the_base(cluster: ClusterConfig) -> ClusterConfig:
    """Two CPUs for the base where Ray is this machine's own, which has nothing else to do, and the settings name no
    other number."""
    elsewhere = cluster.address not in ("", "local") or "RAY_ADDRESS" in os.environ
    if elsewhere or cluster.cpus_per_worker != ClusterConfig.cpus_per_worker or (os.cpu_count() or 1) < BASE_CPUS:
        return cluster
    return replace(cluster, cpus_per_worker=BASE_CPUS)


def _store_root(job: DemoJob) -> str:
    return storage.join(job.output_dir, "store")


def _shown(path: str) -> str:
    """A path as one would type it: relative where it lies below the working directory."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
