"""Text files in whatever encoding they are: the one that is named, UTF-8, or a guess that is said to be one."""

import codecs
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from ds2ray import storage
from ds2ray.errors import InputError

UTF_8 = "utf-8"

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MOST_ZEROS = 0.3  # share of zeros among bytes that are the high halves of UTF-16, at least
_MOST_ACCENTED = 0.34  # share of letters beyond ASCII that text in a Western language has, at most
_LEAST_USUAL = 0.9  # share of Korean text that KS X 1001 holds
_WESTERN_MARKS = frozenset("‘’“”„‚–—…«»‹›°§©®·•€£¡¿\xa0´¨")


@dataclass(frozen=True, slots=True)
class Text:
    """The content of a text file.

    Attributes:
        guessed: the encoding that it was read with, where nothing but its bytes spoke for it; else empty.
    """

    content: str
    guessed: str = ""


def read_text(uri: str, encoding: str = "") -> Text:
    """The text of a file.

    Args:
        encoding: as Python names it; empty: UTF-8 or what a byte-order mark says, else a guess.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is not in that encoding, or in none that can be guessed; names the line.
    """
    return decoded(storage.read_bytes(uri), uri, encoding)


def decoded(data: bytes, uri: str, encoding: str = "") -> Text:
    """The text that a file's bytes stand for; see `read_text`."""
    marked = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "")
    if not encoding and not marked and b"\0" in data and (guess := guessed_encoding(data)):
        return Text(data.decode(guess), guess)  # the ASCII of UTF-16 is UTF-8, too, with zeros in it
    wanted = marked or encoding or UTF_8  # a file that says its own encoding knows it
    try:
        return Text(data.decode(wanted))
    except UnicodeDecodeError as error:
        guess = "" if encoding or marked else guessed_encoding(data)
        if guess:
            return Text(data.decode(guess), guess)
        name = wanted.upper().removesuffix("-SIG")
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{uri}:{line}: byte 0x{data[error.start]:02x} is not {name}; save the file as UTF-8, or name its "
            "encoding: data.encoding=cp949, utf-16, cp1252 …"
        ) from error


def guessed_encoding(data: bytes) -> str:
    """The encoding of bytes that are not UTF-8, where one of few candidates makes ordinary text of them; else empty.

    The candidates, in this order: UTF-16 without a mark, by the zeros of its ASCII; cp949, where everything beyond
    ASCII becomes Hangul; cp1252, where few letters among many become accented.
    """
    for order, half in (("utf-16-le", data[1::2]), ("utf-16-be", data[::2])):
        if half and len(data) % 2 == 0 and half.count(0) >= _MOST_ZEROS * len(half) and _fits(data, order, _is_text):
            return order
    if _fits(data, "cp949", _is_korean):
        return "cp949"
    return "cp1252" if _fits(data, "cp1252", _is_western) else ""


def _fits(data: bytes, encoding: str, is_text: Callable[[str], bool]) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return is_text(text)


def _is_text(text: str) -> bool:
    return all(character.isprintable() or character.isspace() for character in text)


def _is_korean(text: str) -> bool:
    beyond = [character for character in text if not character.isascii()]
    letters = [character for character in beyond if unicodedata.category(character)[0] not in "PSZ"]
    usual = sum(len(character.encode("euc_kr", "ignore")) == 2 for character in beyond)  # cp949 holds rare ones, too
    hangul = all("가" <= character <= "힣" for character in letters)
    return bool(letters) and hangul and usual >= _LEAST_USUAL * len(beyond) and _is_text(text)


def _is_western(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    accented = [character for character in letters if not character.isascii()]
    others = {character for character in text if not character.isascii() and not character.isalpha()}
    return (
        _is_text(text.replace("\xa0", " "))
        and others <= _WESTERN_MARKS
        and (len(accented) <= _MOST_ACCENTED * len(letters))
    )
