"""The settings of a job as a table: `--help` prints it, and arguments are checked against it."""

import inspect
import textwrap
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting: one field of a job's dataclass or of one of its sections."""

    key: str  # dotted, as it is overridden
    type: Any  # the annotation: bool, int, float, str, an Enum, or a list of these
    meaning: str  # the sentence beside it

    @property
    def type_name(self) -> str:
        """The type's name as `--help` prints it: int, [float], …; an Enum is a choice."""
        return _type_name(self.type)

    @property
    def choices(self) -> list[str]:
        """Names of the allowed values of an Enum; empty for other types."""
        return [member.name for member in self._element] if issubclass(self._element, Enum) else []

    @property
    def wanted(self) -> str:
        """The form that a value must have, in words for a message."""
        if get_origin(self.type) is list:
            examples = {"[int]": "[64,32]", "[[int]]": "[[64],[64,32]]", "[float]": "[0.9,1.1]"}
            example = "a list in brackets, as " + examples.get(self.type_name, "[a,b]")
            return example + (f", of {', '.join(self.choices)}" if self.choices else "")
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[self.type]

    @property
    def _element(self) -> type:
        element = self.type
        while get_origin(element) is list:
            element = get_args(element)[0]
        return element


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section: the settings of one dataclass. `name` is their dotted prefix, empty for the job's own."""

    name: str
    meaning: str
    settings: tuple[Setting, ...]


def sections(schema: type, name: str = "") -> list[Section]:
    """The sections of a config dataclass: its own settings first, then those of the dataclasses in it."""
    hints = get_type_hints(schema)
    meanings = {field.name: str(field.metadata.get("help", "")) for field in fields(schema)}
    prefix = f"{name}." if name else ""
    own = tuple(
        Setting(key=prefix + field, type=hint, meaning=meanings.get(field, ""))
        for field, hint in hints.items()
        if not is_dataclass(hint)
    )
    nested = [s for field, hint in hints.items() if is_dataclass(hint) for s in sections(hint, prefix + field)]  # type: ignore[arg-type]
    return [Section(name=name, meaning=inspect.getdoc(schema) or "", settings=own), *nested]


def settings(schema: type) -> dict[str, Setting]:
    """Every setting of a job by its dotted key."""
    return {setting.key: setting for section in sections(schema) for setting in section.settings}


def help_page(
    schema: type,
    *,
    usage: str,
    description: str,
    options: dict[str, str],
    groups: dict[str, dict[str, str]],
    chosen: dict[str, str],
    defaults: dict[str, Any],
    width: int,
) -> str:
    """The page that `--help` prints.

    Args:
        options: flag → its meaning.
        groups: group of presets → preset → its meaning.
        chosen: group → the preset that is used by default.
        defaults: dotted key → default value.
        width: characters per line.
    """
    parts = [_filled(description, width), f"usage: {usage}", "Options\n" + _columns(list(options.items()), width)]
    if groups:
        rows = [
            (f"{group}={option}", text + (" (default)" if chosen.get(group) == option else ""))
            for group, group_options in groups.items()
            for option, text in group_options.items()
        ]
        parts.append("Groups: presets of settings, group=option\n" + _columns(rows, width))
    parts.append("Settings: key=default, type, meaning; any of them can be given as key=value")
    table = {section.name: [_row(s, defaults) for s in section.settings] for section in sections(schema)}
    key_width = min(46, max(len(key) for cells in table.values() for key, _, _ in cells))
    for section in sections(schema):
        rows = [(key, f"{type_name:<10} {meaning}".rstrip()) for key, type_name, meaning in table[section.name]]
        if rows:
            title = f"{section.name}: {section.meaning.splitlines()[0]}" if section.name else "of the job itself"
            parts.append(title + "\n" + _columns(rows, width, key_width, indent=11))
    return "\n\n".join(parts)


def _filled(text: str, width: int) -> str:
    """Each line of a text by itself, wrapped, below its own beginning."""
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines.append(textwrap.fill(line, width, subsequent_indent=indent * 2))
    return "\n".join(lines)


def _row(setting: Setting, defaults: dict[str, Any]) -> tuple[str, str, str]:
    meaning = setting.meaning
    if setting.choices:
        meaning = f"{meaning}; " * bool(meaning) + f"one of {', '.join(setting.choices)}"
    return f"{setting.key}={_value(defaults.get(setting.key, ''))}", setting.type_name, meaning


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return value.name if isinstance(value, Enum) else str(value)


def _columns(rows: list[tuple[str, str]], width: int, left_width: int = 0, indent: int = 0) -> str:
    """Two aligned columns; a left cell that is too long for its column gets a line of its own."""
    left_width = left_width or max(len(left) for left, _ in rows)
    lines: list[str] = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, max(30, width - left_width - 4), subsequent_indent=" " * indent) or [""]
        if len(left) > left_width:
            lines.append(f"  {left}")
            left = ""
        heads = [left] + [""] * (len(wrapped) - 1)
        lines += [f"  {head:<{left_width}}  {text}".rstrip() for head, text in zip(heads, wrapped, strict=True)]
    return "\n".join(lines)


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is list:
        return f"[{_type_name(get_args(annotation)[0])}]"
    return "choice" if issubclass(annotation, Enum) else annotation.__name__
