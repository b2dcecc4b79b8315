"""The names of a whole fleet in the store."""

from collections import defaultdict
from collections.abc import Sequence

from ds2ray.errors import InputError
from ds2ray.store.adapters import user_key

_MAX_REFUSED = 50  # lines of a message


def user_keys(user_ids: Sequence[str]) -> list[str]:
    """`user_key` of every user.

    Raises:
        InputError: two users would share a name in the store, or an id cannot be one; names all of them.
    """
    keys, named, refused = [], [], []
    for user_id in user_ids:
        try:
            keys.append(user_key(user_id))
            named.append(user_id)
        except InputError as error:
            refused.append(str(error))
    if len(set(keys)) < len(keys):
        ids_of: defaultdict[str, list[str]] = defaultdict(list)
        for key, user_id in zip(keys, named, strict=True):
            ids_of[key].append(user_id)
        for key, ids in ids_of.items():
            if len(ids) > 1:
                listed = ", ".join(map(ascii, ids))
                refused.append(f"users {listed} would share the name {key} in the store; give each user one id")
    if refused:
        more = [f"… and {len(refused) - _MAX_REFUSED} more"] if len(refused) > _MAX_REFUSED else []
        raise InputError("\n".join([*refused[:_MAX_REFUSED], *more]))
    return keys
