"""Names of adapters, which are names of files and of users."""

from ds2ray.errors import InputError
from ds2ray.store import user_key


def check_adapter_name(adapter_name: str) -> None:
    """Raise InputError for a name that can be neither that of a file in the adapters' folder nor a user's."""
    if not adapter_name.strip() or {"/", "\\", "\0"} & set(adapter_name):
        raise InputError(f"adapter name {adapter_name!r} cannot name a file: leave out slashes")
    user_key(adapter_name)
