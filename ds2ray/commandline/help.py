"""The pages of `--help`: all commands, and one job with its settings."""

import shutil
from collections.abc import Collection

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ds2ray.commandline.arguments import CONFIG, FLAGS, SWITCHES, VALUED
from ds2ray.commandline.composing import flatten
from ds2ray.commandline.jobs import JOBS
from ds2ray.commandline.presets import CONF_DIR, groups
from ds2ray.naming import typed
from ds2ray.reference import help_page


def job_page(job_name: str) -> str:
    """The page of a job: its purpose, its usage, and all its presets and settings."""
    spec = JOBS[job_name]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(job_name, return_hydra_config=True)
    return help_page(
        spec.schema,
        usage=" ".join(filter(None, [typed(job_name), spec.example, "" if spec.command else "[key=value …]"])),
        description=spec.description,
        options=_options(set(config)),
        groups=groups(job_name),
        chosen=dict(config.hydra.runtime.choices),
        defaults=flatten(OmegaConf.to_container(config)),
        width=min(140, shutil.get_terminal_size((120, 24)).columns),
    )


def _options(names: Collection[str]) -> dict[str, str]:
    """The options of a job whose settings and sections have these names, each with its line."""
    options = {flag: text for flag, text in FLAGS.items() if flag != "--dry-run" or "dry_run" in names}
    options[f"{CONFIG} FILE"] = "take the settings of a YAML file, as --cfg prints them; those given beside it count"
    for flag, (setting, shown, _) in VALUED.items():
        if setting in names:
            options[f"{flag} {shown}"] = f"{setting}={shown}"
    return options | {switch: text for switch, text in SWITCHES.items() if text.partition("=")[0] in names}
