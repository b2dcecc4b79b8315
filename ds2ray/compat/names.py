"""Names of adapters: each names a file and a user."""

from ds2ray.errors import InputError
from ds2ray.store import user_key


def check_adapter_name(adapter_name: str) -> None:
    """Raise InputError for a name that cannot name a file in the adapters' folder, or cannot be a user id."""
    if not adapter_name.strip() or {"/", "\\", "\0"} & set(adapter_name):
        raise InputError(f"adapter name {adapter_name!r} cannot name a file: leave out slashes")
    user_key(adapter_name)
