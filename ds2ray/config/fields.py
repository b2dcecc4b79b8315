"""What all sections of the settings are made of: fields and choices that say what they mean, checks, plain values."""

import copy
from collections.abc import Collection
from dataclasses import MISSING, asdict, field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

from ds2ray.errors import ConfigError

T = TypeVar("T")


def setting(default: T, meaning: str) -> T:
    """A field of a config dataclass.

    Args:
        default: a list is copied for every instance.
        meaning: one sentence, which `--help` prints.
    """
    metadata = {"help": meaning}
    if isinstance(default, list):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class Choice(Enum):
    """An Enum whose members are a value and, where it does not speak for itself, a sentence that says what it means."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "Choice":
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member


def require(condition: bool, field_name: str, value: object, allowed: str) -> None:
    """Raise a ConfigError that names the field, its value and what is allowed."""
    if not condition:
        raise ConfigError(f"{field_name}={value!r} is not possible: {allowed}")


def refuse_foreign(config: Any, section: str, own: Collection[str], chosen: str) -> None:
    """Raise a ConfigError for a setting outside of `own` that was changed, as nothing would come of it.

    Args:
        config: a dataclass with defaults for all fields.
        chosen: the setting that makes the others foreign.
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
    """A config dataclass as JSON-ready values: enums by their value."""

    def plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value.value if isinstance(value, Enum) else value for name, value in pairs}

    return asdict(config, dict_factory=plain)


def from_plain(config_class: type[T], values: dict[str, Any]) -> T:
    """The inverse of `to_plain`. Unknown names raise TypeError, values that an enum lacks ValueError."""
    types = {f.name: f.type for f in fields(config_class)}  # type: ignore[arg-type]
    return config_class(**{name: _converted(types.get(name), value) for name, value in values.items()})


def _converted(to: object, value: Any) -> Any:
    if isinstance(to, type) and issubclass(to, Enum):
        return to(value)
    return from_plain(to, value) if isinstance(to, type) and is_dataclass(to) else value
