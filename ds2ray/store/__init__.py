"""The store, a tree in object storage: bases, users' adapters, runs, the index and the lease. Neither torch nor Ray.

A record or pointer is written after the files that it names, and is the commit. `layout` has all paths of the tree.
"""

from ds2ray.store.adapters import (
    MAX_HISTORY,
    history,
    made_seq,
    publish_adapter,
    read_adapter,
    read_pointer,
    read_withdrawn,
    rollback,
    withdraw,
)
from ds2ray.store.bases import (
    adopt_base,
    list_bases,
    located_base,
    publish_base,
    read_base,
    read_base_record,
    read_complete_record,
)
from ds2ray.store.calibrations import publish_calibrations, read_calibrations
from ds2ray.store.keys import require_salt, shown_user, stored_key, user_key, user_keys
from ds2ray.store.language_models import (
    LanguageModelRecord,
    publish_language_model,
    read_language_model,
    read_language_model_record,
)
from ds2ray.store.own_words import (
    OwnWord,
    OwnWordsRecord,
    erase_words,
    publish_words,
    read_words,
    read_words_record,
    rollback_words,
    words_history,
    words_version,
)
from ds2ray.store.records import AdapterPointer, BaseRecord
from ds2ray.store.store import Store, server_outside
from ds2ray.store.verify import sha256

__all__ = [
    "MAX_HISTORY",
    "AdapterPointer",
    "BaseRecord",
    "LanguageModelRecord",
    "OwnWord",
    "OwnWordsRecord",
    "Store",
    "adopt_base",
    "erase_words",
    "history",
    "list_bases",
    "located_base",
    "made_seq",
    "publish_adapter",
    "publish_base",
    "publish_calibrations",
    "publish_language_model",
    "publish_words",
    "read_adapter",
    "read_base",
    "read_base_record",
    "read_calibrations",
    "read_complete_record",
    "read_language_model",
    "read_language_model_record",
    "read_pointer",
    "read_withdrawn",
    "read_words",
    "read_words_record",
    "require_salt",
    "rollback",
    "rollback_words",
    "server_outside",
    "sha256",
    "shown_user",
    "stored_key",
    "user_key",
    "user_keys",
    "withdraw",
    "words_history",
    "words_version",
]
