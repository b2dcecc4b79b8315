"""Starts a job: composes its settings with Hydra, and turns every mistake into one message and an exit code.

Hydra's compose API is used, not its command line: nothing is written to disk, mistakes are found before anything is
imported or started, and the exit codes are ours.
"""

import logging
import os
import re
import select
import shutil
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, TypeVar

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from arguments import CONF_DIR, FLAGS, JOBS, Arguments, groups, raise_all, refuse_secrets
from ds2ray import display
from ds2ray.display.streams import make_whole, send_nowhere, terminals
from ds2ray.errors import ConfigError, Ds2RayError, InterruptedRunError
from ds2ray.reference import help_page, settings
from surroundings import exhausted, look_around

T = TypeVar("T")
REQUIRED = "???"
"""How a preset says that a setting has to be given."""


def run_job(
    job_name: str, schema: type[T], main: Callable[[T], int], *, description: str, argv: list[str] | None = None
) -> NoReturn:
    """Compose the settings, run `main` with them and exit with its code, or with that of the error it raised.

    Args:
        job_name: name of the root in conf/ and of the script in jobs/.
        schema: the job's dataclass, as in `JOBS`.
        argv: arguments without the program's name; by default those of this process.
    """
    arguments = sys.argv[1:] if argv is None else argv
    make_whole()
    interrupt = _interrupt_of(terminals())
    previous = {number: signal.signal(number, interrupt) for number in _interrupting()}
    try:
        try:
            look_around()
            code = _run(job_name, schema, main, description, arguments)
            sys.stdout.flush()
        except Ds2RayError as error:
            code = error.exit_code
            print(display.visible(f"jobs/{job_name}.py: {error}"), file=sys.stderr)
        except OSError as error:
            told = exhausted(error)
            if told is None:
                raise
            code = told.exit_code
            print(display.visible(f"jobs/{job_name}.py: {told}"), file=sys.stderr)
        except KeyboardInterrupt:
            code = InterruptedRunError.exit_code
            print(f"jobs/{job_name}.py: interrupted; run it again to do what is unfinished", file=sys.stderr)
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        code = 128 + signal.SIGPIPE
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    sys.exit(code)


def _interrupting() -> list[signal.Signals]:
    """The signals that end a job, but for those that it was started to ignore (`nohup`, a shell's `&`)."""
    wanted = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    return [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]


def _interrupt_of(open_terminals: list[int]) -> Callable[[int, FrameType | None], NoReturn]:
    """What a signal does to a process with these descriptors on a terminal: it unwinds."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        if number == signal.SIGHUP:  # the terminal is gone
            send_nowhere(open_terminals)
        display.stopping()
        raise KeyboardInterrupt

    return interrupt


def compose_job(job_name: str, argv: list[str]) -> object:
    """The job's settings as its dataclass. Raises one ConfigError that lists every mistake in `argv`."""
    return _to_dataclass(job_name, _compose(job_name, argv))


def _run(job_name: str, schema: type[T], main: Callable[[T], int], description: str, argv: list[str]) -> int:
    if {"--help", "-h"} & set(argv):
        print(_help(job_name, description))
        return 0
    config = _compose(job_name, argv)
    job = _to_dataclass(job_name, config)
    if "--cfg" in argv:
        print(OmegaConf.to_yaml(config, resolve=True), end="")
        return 0
    if not isinstance(job, schema):
        raise TypeError(f"{job_name} is listed with {type(job).__name__}, and started with {schema.__name__}")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=[_AboveDisplay()])
    logging.getLogger("ds2ray").setLevel(logging.INFO)
    with display.opened():
        display.doing("loading")  # torch and Ray take seconds
        return main(job)


class _AboveDisplay(logging.Handler):
    """Writes to what stderr is at the time: a live display takes its place, and shows such lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        print(display.visible(self.format(record)), file=sys.stderr, flush=True)


def _compose(job_name: str, argv: list[str]) -> DictConfig:
    refuse_secrets(argv)
    overrides, problems = Arguments(job_name).read(argv)
    raise_all(problems)
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return _with_required(compose(job_name, overrides, return_hydra_config=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_plain_message(error)) from error


def _with_required(config: DictConfig) -> DictConfig:
    """Without Hydra's own part, and with `???` again where a preset says so: over a default, merging loses it."""
    choices = config.hydra.runtime.choices
    with open_dict(config):
        del config["hydra"]
    for group, option in choices.items():
        path = CONF_DIR / group / f"{option}.yaml"
        preset = _flatten(OmegaConf.to_container(OmegaConf.load(path))) if path.exists() else {}
        for key in (key for key, value in preset.items() if value == REQUIRED):
            if not OmegaConf.select(config, f"{group}.{key}"):
                OmegaConf.update(config, f"{group}.{key}", REQUIRED)
    return config


def _to_dataclass(job_name: str, config: DictConfig) -> object:
    known = settings(JOBS[job_name].schema)
    given = _flatten(OmegaConf.to_container(config))
    raise_all(f"{key} has to be given: {known[key].meaning}" for key, value in given.items() if value == REQUIRED)
    try:
        resolved = _flatten(OmegaConf.to_container(config, resolve=True))
        refuse_secrets(f"{key}={value}" for key, value in resolved.items() if isinstance(value, str))
        # Section by section first: each tells of its own impossible value.
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


def _help(job_name: str, description: str) -> str:
    spec = JOBS[job_name]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(job_name, return_hydra_config=True)
    examples = {"users": "[users.csv] ", "source": "[corpus] ", "audio": "[audio files …] "}
    positional = examples[spec.positional] if spec.positional else ""
    return help_page(
        spec.schema,
        usage=f"python jobs/{job_name}.py {positional}[key=value …]",
        description=description,
        options={flag: text for flag, text in FLAGS.items() if flag != "--dry-run" or hasattr(config, "dry_run")},
        groups=groups(job_name),
        chosen=dict(config.hydra.runtime.choices),
        defaults=_flatten(OmegaConf.to_container(config)),
        width=min(140, shutil.get_terminal_size((120, 24)).columns),
    )


def _plain_message(error: BaseException) -> str:
    """The innermost message of a Hydra or OmegaConf error in one line, with its key in front."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    key = next((line.partition(":")[2].strip() for line in lines if line.startswith("full_key:")), "")
    message = re.sub(r"^\w+ raised while resolving interpolation: ", "", lines[0]).strip('"')
    return f"{key}: {message}" if key else message


def _flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _output_is_closed() -> bool:
    """Whether whoever read our output went away (`| head`); then the rest goes nowhere, without a complaint at exit."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
