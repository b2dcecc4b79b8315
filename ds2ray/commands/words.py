"""jobs/words.py: a user's own words, without any training; and those of a users table, for jobs/adapt_users.py."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ds2ray import display, storage
from ds2ray.config import DataConfig, WordsJob
from ds2ray.corpora.own_words import own_words, read_table_words, read_words_file
from ds2ray.errors import ConfigError, InputError
from ds2ray.naming import typed
from ds2ray.store import (
    BaseRecord,
    OwnWord,
    Store,
    erase_words,
    list_bases,
    located_base,
    publish_words,
    read_words,
    read_words_record,
    require_salt,
    rollback_words,
    server_outside,
    shown_user,
    user_key,
    words_version,
)
from ds2ray.store.keys import is_private
from ds2ray.store.own_words import read_words_index, write_words_index
from ds2ray.text import Vocabulary
from ds2ray.upkeep.erasing import read_tombstones, refuse_erased

_MAX_SHOWN = 10
HEARD_BY = "heard with decode=beam and decode=lm"


def run(job: WordsJob) -> int:
    """Set, show, roll back or erase the words; returns 0.

    Raises:
        ConfigError: no user is named, or several things are wanted at once.
        InputError: the file or the version is missing, or a weight is none.
    """
    with storage.using(server_outside(job.data, job.storage)):
        return _run(job, Store.of(job.storage))


def _run(job: WordsJob, store: Store) -> int:
    if not job.user:
        raise ConfigError(f"user is missing: `{typed('words')} user=john words.txt` sets the own words of a user")
    key = user_key(job.user)
    require_salt(store, writing=bool(job.words or job.file))
    if sum((bool(job.words or job.file), job.erase, bool(job.version))) > 1:
        raise ConfigError("give either words or a file of them, or version= to take back, or erase=true")
    if job.erase:
        display.say(f"user {job.user}: {erase_words(store, key)} objects with own words deleted")
        return 0
    if job.version:
        record = rollback_words(store, key, job.version)
        display.say(f"user {job.user}: {record.num_words} own words, version {record.version}; {HEARD_BY}")
        return 0
    if not job.words and not job.file:
        return _show(store, job.user, key)
    refuse_erased(store, key, job.user)
    words = [word for text in job.words for word in own_words(text, "words")]
    if job.file:
        words += read_words_file(storage.absolute(job.file), job.data.encoding)
    if not words:
        raise InputError(f"{job.file or 'words'}: there are no words; erase=true takes away what the user has")
    record = publish_words(store, key, words)
    display.say(f"user {job.user}: {record.num_words} own words, version {record.version}; {HEARD_BY}")
    if list_bases(store):
        _tell_unwritable(located_base(store, "")[1], {job.user: words})
    return 0


def _show(store: Store, user: str, key: str) -> int:
    record = read_words_record(store, key)
    if record is None:
        display.say(f"user {user}: no own words")
        return 0
    display.say(f"user {user}: {record.num_words} own words, version {record.version}; {HEARD_BY}")
    for word in read_words(store, record):
        display.say(f"{word.text}\t{word.weight:g}")
    for entry in record.history:
        display.say(f"earlier: version {entry['version']}, {entry['num_words']} words")
    return 0


def publish_table_words(users_uri: str, data: DataConfig, store: Store, record: BaseRecord, dry_run: bool) -> None:
    """Publish the own words that a users table sets and that have changed since they were last published from one."""
    found = read_table_words(users_uri, data)
    for problem in found.problems:
        display.say(f"own words left out: {problem}")
    if not found.words:
        return
    erased = read_tombstones(store).erased(map(user_key, found.words))
    found = replace(found, words={user: own for user, own in found.words.items() if user_key(user) not in erased})
    known = read_words_index(store)
    versions = {user_key(user): words_version(words) for user, words in found.words.items()}
    changed = {
        user: words for user, words in found.words.items() if known.get(user_key(user)) != versions[user_key(user)]
    }
    if not changed:
        return
    _tell_unwritable(record, changed)
    if dry_run:
        display.say(f"own words of {len(changed)} users would be published")
        return
    for user, words in changed.items():
        publish_words(store, user_key(user), words)
    write_words_index(store, {**known, **versions})
    display.say(f"own words of {len(changed)} users published, {HEARD_BY}")


def _tell_unwritable(record: BaseRecord, words: Mapping[str, Sequence[OwnWord]]) -> None:
    """Lines on the words that the base cannot write."""
    vocabulary = Vocabulary.from_json(record.vocabulary, record.where)
    for user, own in words.items():
        user = shown_user(user_key(user))  # with a salt nobody is named
        tokens = [(word.text, *vocabulary.encode_and_tell(word.text)) for word in own]
        lost = [text for text, token_ids, unknown in tokens if unknown or not token_ids]
        if lost:
            more = " …" if len(lost) > _MAX_SHOWN else ""
            shown = "" if is_private() else ": " + ", ".join(map(repr, lost[:_MAX_SHOWN])) + more
            display.say(f"user {user}: {len(lost)} own words are never heard, as the base cannot write them{shown}")
