"""Files of settings, `--config best.yaml`: as if what is in them stood on the command line, before the rest."""

from typing import Any

from omegaconf import OmegaConf

from ds2ray.commandline.arguments import CONFIG, Arguments, joined, parted, quoted, split_override
from ds2ray.commandline.jobs import JobSpec
from ds2ray.errors import ConfigError, Ds2RayError

MAX_FILE_BYTES = 2**20


def settings_files(spec: JobSpec, argv: list[str]) -> tuple[list[str], list[str]]:
    """The files of settings that are named in a job's own arguments, and the other arguments."""
    files, rest = [], []
    own, _ = parted(spec, argv)
    for argument in joined(own):
        name, equals, uri = argument.partition("=")
        if name == CONFIG and equals:
            files.append(uri)
        else:
            rest.append(argument)
    return files, [*rest, *argv[len(own) :]]


def from_files(arguments: Arguments, files: list[str], given: list[str]) -> tuple[list[str], list[str]]:
    """The overrides that files of settings mean, without those that are given beside them, and all mistakes in them.

    Args:
        given: overrides of the command line, which count in place of those of a file.
    """
    overrides: dict[str, str] = {}
    problems = []
    for uri in files:
        try:
            values = _flat(_read(uri), uri)
        except ConfigError as error:
            problems.append(str(error))
            continue
        for key, value in values.items():
            try:
                overrides[key] = _override(arguments, key, value)
            except ConfigError as error:
                problems.append(f"{uri}: {error}")
    chosen = {split_override(override)[0]: override for override in given}
    for group in arguments.groups.keys() & chosen.keys():
        hidden = sorted(key for key in overrides if key.startswith(f"{group}."))
        if hidden:
            problems.append(
                f"{chosen[group]}: {' and '.join(files)} gives {hidden[0]} already, and a preset would not change "
                "it; give single settings, or another file"
            )
    return [override for key, override in overrides.items() if key not in chosen], problems


def _read(uri: str) -> Any:
    """The values in a file of settings."""
    if not uri:
        raise ConfigError(f"{CONFIG} names no file: {CONFIG} best.yaml")
    from ds2ray import storage

    try:
        data = storage.read_bytes(uri, max_bytes=MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{uri}: there is no such file of settings; {CONFIG} takes YAML, as --cfg prints it"
        ) from error
    try:
        return OmegaConf.to_container(OmegaConf.create(data.decode()))
    except Ds2RayError:
        raise
    except Exception as error:  # the classes of YAML's errors are not those of OmegaConf
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = "; ".join(lines[:2]) or type(error).__name__
        raise ConfigError(f"{uri}: it is no YAML of settings, as --cfg prints it: {told}") from error


def _flat(values: Any, uri: str, prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted keys."""
    if not isinstance(values, dict):
        raise ConfigError(f"{uri}: it holds no settings: `key: value` lines are wanted, as --cfg prints them")
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, uri, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _override(arguments: Arguments, key: str, value: Any) -> str:
    """The override for Hydra that gives a setting this value. Raises ConfigError for a mistake."""
    setting = arguments.settings.get(key)
    texts = value if isinstance(value, list) else [value]
    if setting is not None and all(isinstance(text, str) for text in texts):
        # text is taken as it stands, as on the command line
        if setting.type is str and texts is not value:
            return f"{key}={quoted(value)}"
        if setting.type == list[str] and texts is value:
            return f"{key}=[{','.join(map(quoted, value))}]"
    return arguments.override(key, _text(value))


def _text(value: Any) -> str:
    """A value as an argument has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if value is None:
        return "null"
    return quoted(value) if isinstance(value, str) else str(value)
