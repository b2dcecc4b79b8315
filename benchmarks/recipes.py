"""Recipes for adapters on a command line: `name=key=value,key=value`, with fields of AdapterConfig and AdaptConfig."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """A recipe: the settings of an adapter and of its training."""

    name: str
    adapter: AdapterConfig
    adapt: AdaptConfig
    changed: dict[str, str]  # as it was given


def parse_recipe(text: str) -> Recipe:
    """A recipe from `early=after_layer=0,hidden_dims=256x128`; settings that are not named have their defaults.

    Raises:
        ConfigError: a key is no setting of AdapterConfig or AdaptConfig, or its value does not fit.
    """
    name, _, settings = text.partition("=")
    changed = dict(_pair(part) for part in settings.split(",") if part)
    adapter, adapt = AdapterConfig(), AdaptConfig()
    known = {field.name for config in (adapter, adapt) for field in fields(config)}
    if unknown := sorted(changed.keys() - known):
        raise ConfigError(f"recipe {name}: no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return Recipe(name, replace(adapter, **_typed(adapter, changed)), replace(adapt, **_typed(adapt, changed)), changed)


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key, value


def _typed(config: Any, changed: dict[str, str]) -> dict[str, Any]:
    """The values that are settings of this config, each in the type of its default."""
    return {
        field.name: _value(field.name, changed[field.name], getattr(config, field.name))
        for field in fields(config)
        if field.name in changed
    }


def _value(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text]
        if isinstance(default, list):
            return [int(width) for width in text.split("x")]
        if isinstance(default, Enum):
            return type(default)[text]
        return type(default)(text)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{name}={text!r} does not fit: its default is {default!r}") from error


def numbers(text: str) -> list[float]:
    """The numbers of a list as text: `0.5,1,2` → [0.5, 1.0, 2.0]."""
    return [float(part) for part in text.split(",") if part]


def mean(values: Sequence[float]) -> float:
    """The mean of some values; 0 where there are none."""
    return sum(values) / len(values) if values else 0.0
