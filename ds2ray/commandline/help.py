"""The pages of `--help`: all commands, and one job with its settings."""

import shutil

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ds2ray.commandline.arguments import CONFIG, FLAGS, FROM_FILE, SWITCHES
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
        usage=" ".join(filter(None, [typed(job_name), spec.example, "[key=value …]"])),
        description=spec.description,
        options=_options(hasattr(config, "dry_run"), hasattr(config, "from_file"))
        | {switch: f"{switch[2:]}=true" for switch in SWITCHES if hasattr(config, switch[2:])},
        groups=groups(job_name),
        chosen=dict(config.hydra.runtime.choices),
        defaults=flatten(OmegaConf.to_container(config)),
        width=min(140, shutil.get_terminal_size((120, 24)).columns),
    )


def _options(has_dry_run: bool, reads_lists: bool) -> dict[str, str]:
    options = {flag: text for flag, text in FLAGS.items() if flag != "--dry-run" or has_dry_run}
    options[f"{CONFIG} FILE"] = "take the settings of a YAML file, as --cfg prints them; those given beside it count"
    return (
        {**options, f"{FROM_FILE} LIST": "read the names of files from a list: from_file=LIST"}
        if reads_lists
        else options
    )
