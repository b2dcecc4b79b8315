"""The search for erased users through everything below a root: names of objects, and contents as they are read."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ds2ray import storage
from ds2ray.config import Scanned
from ds2ray.errors import InputError, StorageError
from ds2ray.packs.ledger import PACK
from ds2ray.progress import Tell, untold
from ds2ray.storage import Found, Server
from ds2ray.upkeep.erasing.mentions import Mentions, names_in
from ds2ray.upkeep.working import at_once

_PACK_COLUMNS = ["utterance_id", "user_id", "transcript"]
_TOLD_EVERY = 1000


@dataclass
class Searched:
    """What a search has read and found.

    Attributes:
        names: objects whose names were looked at.
        contents: objects whose contents were, by kind: the last part of the name.
        unread: objects whose contents were not read, by kind.
        left: the objects that name a user, each with what names one: `name` or `content`.
    """

    names: int = 0
    contents: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    left: dict[str, str] = field(default_factory=dict)


def search(
    root_uri: str,
    mentions: Mentions,
    server: Server,
    scan: Scanned = Scanned.everything,
    tell: Tell = untold,
    stay: Callable[[], None] = lambda: None,
) -> Searched:
    """Search a store or a folder.

    Of packs the texts are read and not the audio; of weights the names of tensors. With `Scanned.shared` what lies in
    other users' folders, which only their own jobs write, is not read: a million small objects.

    Args:
        tell, stay: called again and again.
    """
    searched = Searched()

    def look(found: Found) -> tuple[str, bool]:
        path = found.uri.removeprefix(root_uri.rstrip("/") + "/")
        if mentions.in_name(path):
            return "name", False
        if scan is Scanned.shared and path.startswith("users/") and path.count("/") > 1:
            return "", False
        return ("content" if _in_content(found, mentions, server) else ""), True

    for number, (found, (where, read)) in enumerate(at_once(look, _all(root_uri, server)), 1):
        searched.names += 1
        kind = "leftover" if found.is_leftover else found.name.rpartition(".")[2]
        if where:
            searched.left[found.uri] = where
        if where != "name":
            (searched.contents if read else searched.unread)[kind] += 1
        if not number % _TOLD_EVERY:
            tell(f"{number} objects searched")
        stay()
    return searched


def _all(root_uri: str, server: Server) -> Iterator[Found]:
    for page in storage.walk(root_uri, server):
        yield from page


def _in_content(found: Found, mentions: Mentions, server: Server) -> bool:
    try:
        if PACK.fullmatch(found.name):
            table = storage.read_table(found.uri, server=server, columns=_PACK_COLUMNS)
            return bool(mentions.in_table(table))
        return names_in(storage.read_bytes(found.uri, server), found.name, mentions)
    except FileNotFoundError:  # a temporary file whose write has ended
        return False
    except (KeyError, ValueError, InputError, StorageError):
        if isinstance(found, Found) and PACK.fullmatch(found.name):
            return mentions.in_bytes(storage.read_bytes(found.uri, server))
        raise
