"""The parts of every section of settings: fields and choices with their meanings, checks, and plain values."""

import copy
import math
from collections.abc import Collection
from dataclasses import MISSING, asdict, field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

from ds2ray.errors import ArtifactCorruptError, ConfigError, NewerReleaseError

T = TypeVar("T")


def setting(default: T, meaning: str, *, may_be_infinite: bool = False) -> T:
    """A field of a config dataclass.

    Args:
        default: a list is copied for every instance.
        meaning: one sentence, which `--help` prints.
        may_be_infinite: whether `inf` is a value: a limit that nothing reaches.
    """
    metadata: dict[str, object] = {"help": meaning, "may_be_infinite": may_be_infinite}
    if isinstance(default, list):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class Choice(Enum):
    """An Enum whose members have a value and, where it does not speak for itself, a sentence with its meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "Choice":
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member


def require(condition: bool, field_name: str, value: object, allowed: str) -> None:
    """Raise a ConfigError that names the field, its value and the allowed values, unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{field_name}={value!r} is not possible: {allowed}")


def require_finite(config: Any, section: str = "") -> None:
    """Raise a ConfigError for a number of a config, or of configs in it, that is NaN, or infinite and may not be."""
    for field_ in fields(config):
        value, name = getattr(config, field_.name), f"{section}{field_.name}"
        if is_dataclass(value):
            require_finite(value, f"{name}.")
        for number in value if isinstance(value, list) else [value]:
            allowed = number == math.inf and field_.metadata.get("may_be_infinite", False)
            finite = not isinstance(number, float) or math.isfinite(number)
            require(finite or allowed, name, number, "a finite number is wanted")


def refuse_foreign(config: Any, section: str, own: Collection[str], chosen: str) -> None:
    """Raise a ConfigError for a changed setting outside of `own`, since it would have no effect.

    Args:
        config: a dataclass with defaults for all fields.
        chosen: the setting by which the others have no effect, for the message.
    """
    for field_ in fields(config):
        default = field_.default if field_.default_factory is MISSING else field_.default_factory()
        value = getattr(config, field_.name)
        if field_.name in own or value == default:
            continue
        if is_dataclass(value):
            refuse_foreign(value, f"{section}.{field_.name}", (), chosen)
        else:
            require(False, f"{section}.{field_.name}", value, f"{chosen} has no such setting; leave it out")


def to_plain(config: Any) -> dict[str, Any]:
    """A config dataclass as JSON-ready values: enums by their value, in lists, too."""

    def plain_value(value: Any) -> Any:
        if isinstance(value, list):
            return [plain_value(each) for each in value]
        return value.value if isinstance(value, Enum) else value

    def plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: plain_value(value) for name, value in pairs}

    return asdict(config, dict_factory=plain)


def from_plain(config_class: type[T], values: dict[str, Any], where: str = "stored settings") -> T:
    """The inverse of `to_plain`; a missing field gets its default.

    Args:
        where: the file that holds the values, for messages.

    Raises:
        NewerReleaseError: a field, or the value of a choice, that this release does not know.
        ArtifactCorruptError: values that no release has written.
    """
    section = config_class.__name__.removesuffix("Config").lower()
    try:
        return _built(config_class, values, section)
    except _UnknownError as error:
        raise NewerReleaseError(
            f"{where}: unknown {error}: it was written by a newer release of ds2ray; install that one, or write it "
            "again with this one"
        ) from error
    except (ConfigError, TypeError, AttributeError) as error:
        raise ArtifactCorruptError(
            f"{where}: its description is damaged, in the {section} settings ({error}); restore it or publish it again"
        ) from error


class _UnknownError(Exception):
    """A field or a choice's value that this release does not have."""


def _built(config_class: type[T], values: dict[str, Any], section: str) -> T:
    types = {f.name: f.type for f in fields(config_class)}  # type: ignore[arg-type]
    return config_class(**{name: _typed(types, section, name, value) for name, value in values.items()})


def _typed(types: dict[str, Any], section: str, name: str, value: Any) -> Any:
    """A stored value in the field's type: choices are stored by their value, sections by their fields."""
    if name not in types:
        raise _UnknownError(f"field {section}.{name}")
    wanted = types[name]
    if isinstance(wanted, type) and is_dataclass(wanted):
        return value if isinstance(value, wanted) else _built(wanted, value, f"{section}.{name}")
    if not (isinstance(wanted, type) and issubclass(wanted, Enum)):
        return value
    try:
        return wanted(value)
    except ValueError as error:
        raise _UnknownError(f"value {section}.{name}={value!r}") from error
