"""Users of a table who were erased from the store: no plan and no pack holds them, and their audio is not looked at."""

import itertools
from collections.abc import Iterable
from dataclasses import replace

from ds2ray.corpora.corpus import Corpus
from ds2ray.naming import typed
from ds2ray.store import Store, require_salt
from ds2ray.store.keys import user_key, why_no_key
from ds2ray.tables.users import Fleet
from ds2ray.upkeep.erasing import Tombstones, read_tombstones


def without_erased(fleet: Fleet, tombstones: Tombstones) -> tuple[Fleet, int]:
    """The fleet without the users who were erased, and how many they are; without tombstones it costs nothing."""
    if not len(tombstones):
        return fleet, 0
    import pyarrow as pa

    rows = fleet.table.rows
    listed = rows["user_id"].to_pylist()
    key_of = {user_id: user_key(user_id) for user_id in [*(user.user_id for user in fleet.users), *listed]}
    erased = tombstones.erased(key_of.values())
    users = [user for user in fleet.users if key_of[user.user_id] not in erased]
    keep = [key_of[user_id] not in erased for user_id in listed]
    num_erased = len(fleet.users) - len(users) + keep.count(False)
    table = replace(fleet.table, rows=rows.filter(pa.array(keep, pa.bool_())))
    return replace(fleet, users=users, table=table), num_erased


def corpus_without_erased(corpus: Corpus, store: Store) -> Corpus:
    """The corpus without utterances and problems of the users who were erased, and with a note on how many they are.

    Raises:
        ConfigError: the store's keys are made with a salt, and this process has none or another one.
        ArtifactCorruptError: the store's tombstones are damaged.
    """
    tombstones = read_tombstones(store)
    if not len(tombstones):
        return corpus
    require_salt(store)  # without its own nobody can say who was erased
    of_speech = (utterance.user_id for each in corpus.manifests for utterance in each.utterances)
    of_problems = (problem.user_id for each in corpus.manifests for problem in each.problems)
    erased = _erased_ids(itertools.chain(of_speech, of_problems), tombstones)
    if not erased:
        return corpus
    manifests = [
        replace(
            each,
            utterances=[utterance for utterance in each.utterances if utterance.user_id not in erased],
            problems=[problem for problem in each.problems if problem.user_id not in erased],
        )
        for each in corpus.manifests
    ]
    return replace(corpus, manifests=manifests, notes=[*corpus.notes, erased_note(len(erased))])


def _erased_ids(user_ids: Iterable[str], tombstones: Tombstones) -> set[str]:
    """Those of these ids whose users were erased; what is no id names nobody."""
    named = {user_id for user_id in user_ids if user_id and not why_no_key(user_id)}
    return {user_id for user_id in named if tombstones.erased([user_key(user_id)])}


def erased_note(num_erased: int) -> str:
    """The line of a plan about them: it names nobody."""
    whose = "1 user of the table was" if num_erased == 1 else f"{num_erased} users of the table were"
    return (
        f"{whose} erased from this store, and refused: take such rows out of the table, or allow them again with "
        f"`{typed('store')} erase <user> lift=true`"
    )
