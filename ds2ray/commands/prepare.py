"""jobs/prepare.py: read a corpus, check it, pack what is new or changed, and say what was left out."""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from ds2ray import display, storage
from ds2ray.commands.packing.long_recordings import open_long_recordings
from ds2ray.commands.packing.work import Packing, Progress
from ds2ray.config import AudioConfig, BadRows, PackBy, PrepareJob, ProbeAudio
from ds2ray.corpora.corpus import Corpus, audio_objects, read_corpus
from ds2ray.errors import ConfigError, InputError
from ds2ray.naming import typed
from ds2ray.packs.dropped import causes_table, dropped_rows, write_dropped
from ds2ray.packs.grace import packs_in_grace
from ds2ray.packs.layout import Pack, member_of, packs_by_shard, packs_by_user
from ds2ray.packs.ledger import Ledger, superseded
from ds2ray.packs.making import Made, make_pack, make_packs
from ds2ray.packs.tables import FOLDER, named_packs, shard_of_utterance, write_manifest, write_users
from ds2ray.progress import INTERVAL_S, size_text
from ds2ray.storage import ObjectInfo
from ds2ray.store import Store, require_salt, server_outside
from ds2ray.store.lease import held
from ds2ray.tables.manifest import Manifest
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.problems import refuse, require_rows
from ds2ray.tables.validation import DURATION_CORRECTED, validate_many
from ds2ray.upkeep.erasing.fleets import corpus_without_erased

DROPPED = "dropped.csv"
_MB = 2**20
_MAX_NOTES = 10


def run(job: PrepareJob) -> int:
    """Pack the corpus; returns 0.

    Raises:
        ConfigError: source or output is missing, or they are the same.
        InputError: the corpus cannot be read, holds rows that the policies refuse, or nothing that can be packed.
        StorageError: the store cannot be reached or refuses the credentials.
        InterruptedRunError: another run is packing into this folder.
    """
    with storage.using(server_outside(job.data, job.storage)):
        return _prepare(job)


def _prepare(job: PrepareJob) -> int:
    output_uri = _output_uri(job)
    corpus = read_corpus(job.source, job.prepare, job.data, display.telling("reading"))
    corpus = corpus_without_erased(corpus, Store.of(job.storage))
    num_rows = sum(len(m.utterances) for m in corpus.manifests) + len(
        dropped_rows(problem for m in corpus.manifests for problem in m.problems)
    )
    display.say(f"{corpus.uri}: {corpus.format.value}, {num_rows} rows")
    for note in [*reading_notes(corpus.manifests), *corpus.notes, *_lost(corpus.manifests)]:
        display.say(f"  {note}")
    if not num_rows:
        require_rows(0, [], job.data, corpus.uri)
        display.say("  nothing to pack; what was packed before stays as it is")
        return 0
    display.doing("checking every row")
    work = _plan(job, output_uri, corpus)
    folder = Store(_folder_uri(job, output_uri), storage.current_server())
    by_user = job.prepare.by is PackBy.user
    if by_user:
        require_salt(folder)
    if job.dry_run:
        _print_plan(job, work, _take_unchanged(work, Ledger(_folder_uri(job, output_uri))))
        display.say("\n".join(causes_table(dropped_rows(work.problems))) or "  no row left out")
        return 0
    # one run at a time: another would delete packs that this one has stored and not yet published
    with held(folder, "prepare", wait_s=job.storage.wait_for_lease_s) as keep_alive:
        if by_user:
            require_salt(folder, writing=True)  # packs have the names of users
        _pack(job, output_uri, corpus, work, keep_alive)
    _print_result(work, num_rows, storage.join(output_uri, DROPPED))
    return 0


def _pack(job: PrepareJob, output_uri: str, corpus: Corpus, work: Packing, keep_alive: Callable[[], None]) -> None:
    before = named_packs(output_uri, job.prepare.by)
    ledger = Ledger(_folder_uri(job, output_uri))
    to_make = _take_unchanged(work, ledger)
    _print_plan(job, work, to_make)
    _make(job, work, to_make, ledger, keep_alive)
    refuse(work.problems, job.data, corpus.uri)  # problems that packing brought to light
    if not work.packed:
        causes = "\n".join(causes_table(dropped_rows(work.problems)))
        raise InputError(f"{corpus.uri}: none of its rows can be packed; nothing was published\n{causes}")
    keep_alive()
    _publish(job, output_uri, work, ledger, before)


def _folder_uri(job: PrepareJob, output_uri: str) -> str:
    return storage.join(output_uri, FOLDER[job.prepare.by])


def _output_uri(job: PrepareJob) -> str:
    for name, value in (("source", job.source), ("output", job.output)):
        if not value:
            raise ConfigError(f"{name} is missing: {typed('prepare')} <corpus> output=<folder>")
    output_uri = storage.absolute(job.output).rstrip("/")
    if output_uri == storage.absolute(job.source).rstrip("/"):
        raise ConfigError(f"output={job.output!r} is the corpus itself; name another folder")
    return output_uri


def _lost(manifests: Sequence[Manifest]) -> list[str]:
    """A line on what a pack does not keep."""
    count = sum(utterance.corrected for manifest in manifests for utterance in manifest.utterances)
    return [f"corrected, which packs do not tell, so that they count as any others: {count}"] if count else []


def _plan(job: PrepareJob, output_uri: str, corpus: Corpus) -> Packing:
    """Hold every row against the policies and divide the good ones among packs."""
    objects = audio_objects(corpus, job.data)
    manifests = _checked(corpus, job, objects)
    problems = [problem for manifest in manifests for problem in manifest.problems]
    members = (member_of(u, m.uri, objects) for m in manifests for u in m.utterances)
    settings: dict[str, object] = {
        "min_duration_s": job.data.min_duration_s,
        "max_duration_s": job.data.max_duration_s,
        "decode_audio": job.prepare.decode_audio,
    }
    long = open_long_recordings(job)
    if long:
        settings["segment_long"] = long.base.fingerprint
    if job.prepare.by is PackBy.user:
        packs, rejected = packs_by_user(members, settings)
    else:
        previous = shard_of_utterance(output_uri)
        packs, rejected = packs_by_shard(members, previous, job.prepare.shard_mb * _MB, settings)
    problems += rejected
    refuse(problems, job.data, corpus.uri)
    corrected = sum(manifest.conversions.get(DURATION_CORRECTED, 0) for manifest in manifests)
    return Packing(packs, problems, durations_corrected=corrected, long=long)


def _checked(corpus: Corpus, job: PrepareJob, objects: Mapping[str, ObjectInfo | None]) -> list[Manifest]:
    """Check every row before anything is packed.

    Where unusable audio is left out, no audio is opened yet: packing reads all of it and sees what its headers say.
    """
    data = job.data
    if data.bad_audio is BadRows.drop and not job.dry_run:
        data = replace(data, probe_audio=ProbeAudio.none, min_duration_s=0.0, max_duration_s=math.inf)
    return validate_many(
        corpus.manifests,
        data=data,
        audio=AudioConfig(),
        vocabulary=None,
        objects=objects,
        has_aligner=bool(job.prepare.base),
    )


def _take_unchanged(work: Packing, ledger: Ledger) -> list[Pack]:
    """Count the packs that are stored as they are to be; returns the others."""
    to_make = []
    for pack in work.packs:
        packed = ledger.find(pack.name, pack.source)
        if packed:
            work.packed.append(packed)
            work.num_unchanged += 1
        else:
            to_make.append(pack)
    return to_make


def _make(
    job: PrepareJob, work: Packing, to_make: Sequence[Pack], ledger: Ledger, keep_alive: Callable[[], None]
) -> None:
    """Make the packs, and note every half minute and at the end which are stored, so that a further run goes on."""
    noted = len(work.packed)
    progress = Progress(work, len(to_make), sum(pack.size_bytes for pack in to_make))
    with ThreadPoolExecutor(job.prepare.threads) as readers:

        def make(pack: Pack) -> Made:
            cut = work.long.cut if work.long else None
            return make_pack(pack, ledger.folder_uri, ledger.packs, job.data, job.prepare.decode_audio, readers, cut)

        making = make_packs(
            to_make,
            make,
            threads=job.prepare.threads,
            memory_bytes=job.prepare.memory_mb * _MB,
            tick_s=INTERVAL_S,
        )
        try:
            with closing(making):
                for made in making:
                    if made is not None:
                        work.add(made)
                        progress.num_done += 1
                        progress.read_bytes += made.pack.size_bytes
                    display.doing("packing", *progress.facts(), share=progress.share())
                    if made is not None:
                        continue
                    keep_alive()
                    ledger.write_part(work.packed[noted:])
                    noted = len(work.packed)
        except BaseException:
            readers.shutdown(cancel_futures=True)
            ledger.write_part(work.packed[noted:])
            raise


def _publish(job: PrepareJob, output_uri: str, work: Packing, ledger: Ledger, before: Set[str]) -> None:
    """Write the tables, the one that names the packs last, and delete packs that neither it nor the table before names.

    Args:
        before: file names of the packs in the table that is there.
    """
    by, current = job.prepare.by, {packed.file_name for packed in work.packed}
    in_grace = packs_in_grace(ledger.folder_uri, before, current)
    ledger.close(sorted(work.packed, key=lambda packed: packed.name))
    write_dropped(storage.join(output_uri, DROPPED), work.problems)
    if by is PackBy.user:
        uri = write_users(output_uri, work.packed, {pack.name: pack.user_id for pack in work.packs})
    else:
        uri = write_manifest(output_uri, sorted(work.packed, key=lambda packed: packed.name))
    old = superseded(ledger.packs, current, in_grace)
    with ThreadPoolExecutor(job.prepare.threads) as pool:
        list(pool.map(lambda name: storage.delete(storage.join(ledger.folder_uri, name)), old))
    display.say(f"wrote {uri}" + (f"; deleted {len(old)} packs of earlier runs" if old else ""))


def _print_plan(job: PrepareJob, work: Packing, to_make: Sequence[Pack]) -> None:
    kind = "users" if job.prepare.by is PackBy.user else "shards"
    size = size_text(sum(pack.size_bytes for pack in to_make))
    text = f"{work.num_unchanged} unchanged, {len(to_make)} to read and pack ({size} of audio)"
    display.say(f"  {len(work.packs)} {kind}: {text}")


def _print_result(work: Packing, num_rows: int, dropped_uri: str) -> None:
    rows = dropped_rows(work.problems)
    num_packed = sum(packed.num_utterances for packed in work.packed)
    hours = sum(packed.speech_s for packed in work.packed) / 3600
    same = len(work.packed) - work.num_unchanged - work.num_written
    if work.long:
        display.say(f"rows: {num_rows} read, {len(rows)} left out; {num_packed} utterances packed ({hours:.2f} h)")
        display.say(work.long.summary())
    else:
        display.say(f"rows: {num_rows} read = {num_packed} packed ({hours:.2f} h) + {len(rows)} left out")
    display.say(f"packs: {work.num_written} written, {same} with the content they had, {work.num_unchanged} unchanged")
    empty = len(work.packs) - len(work.packed)
    if empty:
        display.say(f"  nothing usable in {empty} packs, which have no file")
    if work.durations_corrected:
        display.say(f"  durations of the manifest replaced by the audio's own: {work.durations_corrected}")
    for note, count in work.mixed.most_common(_MAX_NOTES):
        display.say(f"  channels of {count}: {note}")
    for line in causes_table(rows):
        display.say(line)
    if rows:
        display.say(f"  every row, with its line: {dropped_uri}")
