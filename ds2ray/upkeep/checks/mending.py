"""Mending without guessing: what is done about a user's faults, so that readers and the next run can work again.

A current version that is missing or damaged gives way to the newest intact one of the history, or to the base. Entries
of missing versions leave the history. A record that cannot be read is set aside, out of the way. In each case the
user's row in the index loses its fingerprint, so that the next run trains the user again.
"""

from dataclasses import replace

from ds2ray.store import AdapterPointer, OwnWordsRecord, Store, made_seq, rollback_words
from ds2ray.store.adapters import write_pointer
from ds2ray.store.layout import own_words_record_uri, pointer_uri, withdrawn_uri
from ds2ray.store.own_words import KIND
from ds2ray.store.records import known_fields, write_record
from ds2ray.store.recovery.aside import set_aside
from ds2ray.upkeep.checks.users import UserCheck, entries_of

_WHY = "damaged"


def mend_user(store: Store, check: UserCheck) -> str:
    """Mend a user's adapter and own words; returns what was done, empty where there was nothing to do."""
    done = []
    if check.pointer_damaged:
        uri = pointer_uri(store, check.user_key)
        set_aside(store, uri if store.exists(uri) else withdrawn_uri(store, check.user_key), _WHY)
        done.append("the pointer was set aside: the base alone is used, and the next run trains the user again")
    elif check.bad:
        done.append(_mend_adapter(store, check))
    if check.words_damaged:
        set_aside(store, own_words_record_uri(store, check.user_key), _WHY)
        done.append("the record of own words was set aside: set them again")
    elif check.bad_words and check.words is not None:
        done.append(_mend_words(store, check, check.words))
    return "; ".join(filter(None, done))


def _mend_adapter(store: Store, check: UserCheck) -> str:
    last = check.last
    if last is None:
        return ""
    uri = (pointer_uri if last.is_current else withdrawn_uri)(store, check.user_key)
    intact = [entry for entry in last.pointer.history if entry["version"] not in check.bad]
    if last.pointer.version not in check.bad:
        write_pointer(store, replace(last.pointer, history=tuple(intact)), withdrawn=not last.is_current)
        return "the history no longer names what is gone"
    if not intact:
        set_aside(store, uri, _WHY)
        return "no version is intact: the base alone is used, and the next run trains the user again"
    newest = max(intact, key=made_seq)
    others = tuple(entry for entry in intact if entry["version"] != newest["version"])
    changed = {"seq": last.pointer.seq + 1, "history": others, "restored_seq": made_seq(newest)}
    pointer = AdapterPointer(**known_fields(AdapterPointer, dict(newest)) | changed)
    write_pointer(store, pointer, withdrawn=not last.is_current)
    if not last.is_current:
        return "the history no longer names what is gone"
    return f"version {newest['version']} is current now, and the next run trains the user again"


def _mend_words(store: Store, check: UserCheck, record: OwnWordsRecord) -> str:
    intact = [entry for entry in entries_of(record) if entry["version"] not in check.bad_words]
    if not intact:
        set_aside(store, own_words_record_uri(store, check.user_key), _WHY)
        return "the record of own words was set aside, as none of them is intact: set them again"
    if record.version in check.bad_words:
        record = rollback_words(store, check.user_key, intact[0]["version"])
    kept = tuple(entry for entry in record.history if entry["version"] not in check.bad_words)
    write_record(store, own_words_record_uri(store, check.user_key), KIND, replace(record, history=kept))
    return f"own words of version {record.version} are current now"
