"""jobs/store.py: the verb that the first argument names, and the users that the others name."""

import difflib
from collections.abc import Callable

from ds2ray.commands.upkeep.keeping import check, collect, count, take_lease
from ds2ray.commands.upkeep.persons import erase_users, export
from ds2ray.commands.upkeep.versions import history, roll_back
from ds2ray.config import StoreJob
from ds2ray.config.storage import VERBS, refuse_useless
from ds2ray.errors import ConfigError
from ds2ray.naming import typed
from ds2ray.store import Store, require_salt

Work = Callable[[StoreJob, Store, list[str]], int]

_WORK: dict[str, Work] = {
    "history": history,
    "rollback": roll_back,
    "erase": erase_users,
    "gc": collect,
    "fsck": check,
    "stats": count,
    "unlock": take_lease,
    "export-user": export,
}

_OF_USERS = {"history", "rollback", "erase", "export-user"}
"""Verbs that find users by their ids."""


def run(job: StoreJob) -> int:
    """Do what the verb says; returns the exit code.

    0: done; 3: done, but not for all users that were named; 4: something is wrong with the store, and is left so.

    Raises:
        ConfigError: no verb, an unknown one, settings that it has no use for, or another salt than the store's.
        InputError: a user, run, version or list is unknown.
        InterruptedRunError: a run is at work on the store; run again when it is over.
        StorageError: the store cannot be reached; run again.
    """
    if not job.verb:
        raise ConfigError(f"what is to be done? `{typed('store')} <verb>`, and a verb is one of {', '.join(VERBS)}")
    verb, *users = job.verb
    verb = verb.replace("_", "-")
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ConfigError(f"unknown verb {verb!r}{hint}: one of {', '.join(VERBS)} is wanted")
    refuse_useless(job, verb)
    store = Store.of(job.storage)
    if verb in _OF_USERS:
        require_salt(store)
    return _WORK[verb](job, store, users)
