"""The settings of a job, composed of presets and arguments; all mistakes make one message.

Hydra's compose API is used, not its command line: nothing is written to disk, and mistakes are found before torch or
Ray is imported.
"""

import re
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ds2ray.commandline.arguments import Arguments, raise_all, refuse_secrets
from ds2ray.commandline.ignored import ignored_settings
from ds2ray.commandline.jobs import JOBS
from ds2ray.commandline.presets import CONF_DIR
from ds2ray.commandline.settings_files import from_files, settings_files
from ds2ray.errors import ConfigError
from ds2ray.reference import settings

REQUIRED = "???"
"""The value by which a preset says that a setting has to be given."""


def compose_job(job_name: str, argv: list[str]) -> object:
    """The job's settings as its dataclass. Raises one ConfigError that lists every mistake in `argv`."""
    return to_dataclass(job_name, composed(job_name, argv))


def composed(job_name: str, argv: list[str]) -> DictConfig:
    """The settings of `argv` over the presets, not yet resolved. Raises ConfigError for mistakes in them."""
    refuse_secrets(argv)
    files, rest = settings_files(JOBS[job_name], argv)
    arguments = Arguments(job_name)
    overrides, problems = arguments.read(rest)
    in_files, mistaken = from_files(arguments, files, overrides)
    raise_all([*problems, *mistaken])
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = _with_required(compose(job_name, [*in_files, *overrides], return_hydra_config=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_plain_message(error)) from error
    given = {override.partition("=")[0] for override in overrides}
    raise_all(ignored_settings(job_name, given, flatten(OmegaConf.to_container(config))))
    return config


def _with_required(config: DictConfig) -> DictConfig:
    """The config without Hydra's section, with each `???` of a preset set again: merging over a default loses it."""
    choices = config.hydra.runtime.choices
    with open_dict(config):
        del config["hydra"]
    for group, option in choices.items():
        path = CONF_DIR / group / f"{option}.yaml"
        preset = flatten(OmegaConf.to_container(OmegaConf.load(path))) if path.exists() else {}
        for key in (key for key, value in preset.items() if value == REQUIRED):
            if not OmegaConf.select(config, f"{group}.{key}"):
                OmegaConf.update(config, f"{group}.{key}", REQUIRED)
    return config


def to_dataclass(job_name: str, config: DictConfig) -> object:
    """The composed settings as the job's dataclass. Raises ConfigError for missing and impossible settings."""
    known = settings(JOBS[job_name].schema)
    given = flatten(OmegaConf.to_container(config))
    raise_all(f"{key} has to be given: {known[key].meaning}" for key, value in given.items() if value == REQUIRED)
    try:
        resolved = flatten(OmegaConf.to_container(config, resolve=True))
        refuse_secrets(f"{key}={value}" for key, value in resolved.items() if isinstance(value, str))
        # section by section first, as each section's check raises at its first impossible value
        problems = []
        for name in config:
            try:
                if OmegaConf.is_dict(config[name]):
                    OmegaConf.to_object(config[name])
            except ConfigError as error:
                problems.append(str(error))
        raise_all(problems)
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(_plain_message(error)) from error


def _plain_message(error: BaseException) -> str:
    """The innermost message of a Hydra or OmegaConf error in one line, with its key in front."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    key = next((line.partition(":")[2].strip() for line in lines if line.startswith("full_key:")), "")
    message = re.sub(r"^\w+ raised while resolving interpolation: ", "", lines[0]).strip('"')
    return f"{key}: {message}" if key else message


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
