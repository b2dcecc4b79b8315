"""The arguments of a job: settings, groups and paths are told apart, and mistakes are collected."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ds2ray.commandline.jobs import JOBS, JobSpec
from ds2ray.commandline.presets import groups
from ds2ray.commandline.schemas import open_schema
from ds2ray.errors import ConfigError
from ds2ray.reference import Setting, settings

FLAGS = {
    "--help": "print this page (also -h)",
    "--cfg": "print the composed settings as YAML",
    "--dry-run": "check everything and print the plan: dry_run=true",
}
CONFIG = "--config"
"""The option that names a file of settings: `--config best.yaml`."""
VALUED = {"--from-file": ("from_file", "LIST", "list of files"), "--timeout": ("timeout_s", "SECONDS", "seconds")}
"""The options with a value, as other programs have them, `--from-file LIST`: each with its setting, the word that
stands for the value, and what it names."""
SWITCHES = {"--yes": "yes=true", "--json": "json=true", "--no-follow": "follow=false"}
"""Settings that are typed as other programs have them, where a job has them."""
COMMAND = "--"
"""What stands before the words of another command."""
STDIN = "-"
"""How stdin is named: a path like others."""


FILE_SUFFIXES = (
    *(".csv", ".tsv", ".jsonl", ".json", ".parquet", ".gz", ".trn", ".txt", ".list", ".lst", ".m3u", ".m3u8", ".pls"),
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".pcm", ".raw", ".sph", ".aif", ".aiff", ".au", ".caf"),
    *(".rf64", ".w64", ".m4a", ".mp4", ".aac", ".webm", ".mka", ".wma", ".amr", ".3gp"),
)
"""How the names of files end that an argument may be; the rooms that read them are too heavy for a mistake."""


for _name, _spec in JOBS.items():
    ConfigStore.instance().store(name=f"{_name}_schema", node=open_schema(_spec.schema))


class Arguments:
    """The arguments that one job takes, by its settings and groups."""

    _OVERRIDE = re.compile(r"(?P<sign>\+{0,2})(?P<key>[A-Za-z_][\w.@]*)=(?P<value>.*)", re.DOTALL)
    _DELETION = re.compile(r"~[A-Za-z_][\w.@]*(=.*)?", re.DOTALL)

    def __init__(self, job_name: str) -> None:
        self.spec = JOBS[job_name]
        self.settings = settings(self.spec.schema)
        self.groups = groups(job_name)
        self.sections = {key.rpartition(".")[0] for key in self.settings} - {""}
        self.parser = OverridesParser.create()
        self.typed = open_schema(self.spec.schema)

    def read(self, argv: list[str]) -> tuple[list[str], list[str]]:
        """The overrides for Hydra that these arguments mean, and a message for every mistake in them."""
        overrides: list[str] = []
        problems: list[str] = []
        positionals: list[str] = []
        own, words = parted(self.spec, argv)
        for argument in joined(own):
            match = self._OVERRIDE.fullmatch(argument)
            try:
                if match and self._is_path(argument, match["key"], match["value"]):
                    positionals.append(argument)
                elif match:
                    if match["sign"] == "+":
                        raise ConfigError(f"+{match['key']}: there are no settings to add; change one with key=value")
                    overrides.append(self.override(match["key"], match["value"]))
                elif argument.startswith("-") and argument != STDIN:
                    overrides += self._flag(argument)
                elif self._DELETION.fullmatch(argument):
                    raise ConfigError(f"{argument}: settings cannot be removed, only changed: key=value")
                else:
                    positionals.append(argument)
            except ConfigError as error:
                problems.append(str(error))
        try:
            overrides += self._positional(positionals, overrides)
        except ConfigError as error:
            problems.append(str(error))
        if words:
            overrides.append(f"{self.spec.command}=[{','.join(map(quoted, words))}]")
        return overrides, problems

    def _is_path(self, argument: str, key: str, value: str) -> bool:
        """Whether `day=1/users.csv` is a path, where arguments may be paths and no setting is called `day`."""
        if self.spec.positional is None or key in self.settings or key in self.sections - self.groups.keys():
            return False
        if key in self.groups:
            return value not in self.groups[key] and os.path.exists(argument)
        return os.path.exists(argument) or (names_a_file(argument) and not self._close(key))

    def _flag(self, argument: str) -> list[str]:
        flag, _, value = argument.partition("=")
        name = flag.lstrip("-").replace("-", "_")
        setting, shown, named = VALUED.get(flag, ("", "", ""))
        if setting in self.settings:
            if not value:
                raise ConfigError(f"{flag} names no {named}: {flag} {shown}")
            return [self._typed_override(self.settings[setting], value)]
        if argument == "--dry-run":
            if "dry_run" not in self.settings:
                raise ConfigError(f"{argument}: this job has no dry run")
            return ["dry_run=true"]
        if argument in FLAGS:
            return []
        if SWITCHES.get(argument, "").partition("=")[0] in self.settings:
            return [SWITCHES[argument]]
        if name in self.settings or name in self.groups:
            raise ConfigError(f"{argument}: settings are given without dashes: {name}=…")
        raise ConfigError(f"unknown option {argument}{_did_you_mean(argument, FLAGS)}: settings are given as key=value")

    def _positional(self, values: list[str], overrides: list[str]) -> list[str]:
        key = self.spec.positional
        if not values:
            return []
        without_value = [value for value in values if value in self.settings or value in self.groups]
        if without_value:
            raise ConfigError(f"{without_value[0]} has no value: write {without_value[0]}=…")
        if key is None:
            raise ConfigError(f"unexpected argument {values[0]!r}: settings are given as key=value")
        if any(override.startswith(f"{key}=") for override in overrides):
            raise ConfigError(f"{key} is given twice: as {key}=… and as {values[0]!r}")
        if self.settings[key].type is not str:
            return [f"{key}=[{','.join(map(quoted, values))}]"]
        if len(values) > 1:
            raise ConfigError(f"{key} is one path, and {len(values)} were given: {', '.join(values)}")
        return [f"{key}={quoted(values[0])}"]

    def override(self, key: str, value: str) -> str:
        """The override for Hydra that gives a setting or a group this value. Raises ConfigError for a mistake."""
        if key in self.groups:
            value = value[1:-1] if value[:1] == value[-1:] == "'" else value
            if value not in self.groups[key]:
                options = ", ".join(self.groups[key])
                raise ConfigError(f"{key}={value}: one of {options} is wanted{_did_you_mean(value, self.groups[key])}")
            return f"{key}={value}"
        if key in self.sections:
            raise ConfigError(f"{key}={value}: {key} holds several settings; give them one by one, as {key}.NAME=…")
        if key not in self.settings:
            raise ConfigError(f"unknown setting {key}{self._similar(key)}")
        return self._typed_override(self.settings[key], value)

    def _typed_override(self, setting: Setting, value: str) -> str:
        key = setting.key
        if setting.type is str and value[:1] not in ("'", '"'):
            return f"{key}={quoted(value)}"  # text is taken as it stands: 007, true, a,b and ${x} are user names
        try:
            parsed = self.parser.parse_override(f"{key}={value}")
            if parsed.is_sweep_override():
                raise ConfigError(f"{key}={value}: {setting.wanted} is wanted")
            text = parsed.value()
            if setting.type is str and isinstance(text, str):
                return f"{key}={quoted(text)}"
            if setting.type == list[str] and isinstance(text, list):
                return f"{key}=[{','.join(quoted(str(each)) for each in text)}]"
            OmegaConf.update(self.typed, key, text)
        except (HydraException, OmegaConfBaseException) as error:
            hint = _did_you_mean(value, setting.choices)
            raise ConfigError(f"{key}={value}: {setting.wanted} is wanted{hint}") from error
        return f"{key}={value}"

    def _similar(self, key: str) -> str:
        return self._close(key) or " (--help lists all of them)"

    def _close(self, key: str) -> str:
        """The settings that an unknown name may mean; empty where none is like it."""
        last = key.rpartition(".")[2]
        same_name = [known for known in self.settings if known.rpartition(".")[2] == last]
        if same_name:
            return f" (did you mean {' or '.join(same_name[:4])}?)"
        return _did_you_mean(key, [*self.settings, *self.groups])


def parted(spec: JobSpec, argv: list[str]) -> tuple[list[str], list[str]]:
    """The arguments of a job itself, and the words of the command behind `--`, where the job takes one."""
    if spec.command is None or COMMAND not in argv:
        return argv, []
    place = argv.index(COMMAND)
    return argv[:place], argv[place + 1 :]


def names_a_file(argument: str) -> bool:
    """Whether an argument ends as the name of a table, of a list of files or of audio does."""
    return argument.lower().endswith(FILE_SUFFIXES)


def joined(argv: Iterable[str]) -> Iterator[str]:
    """The arguments, an option and its value as one of them: `--from-file LIST` as `--from-file=LIST`."""
    rest = iter(argv)
    for argument in rest:
        yield f"{argument}={next(rest, '')}" if argument in (CONFIG, *VALUED) else argument


def split_override(override: str) -> tuple[str, str]:
    """The key of an override for Hydra, and its value."""
    key, _, value = override.partition("=")
    return key, value


_SECRET = r"(?:secret|passwo?r?d|token|credential|(?:access|account|api|private)_?key)s?"
_SECRET_NAME = re.compile(f"{_SECRET}(?![a-z])", re.IGNORECASE)  # but not tokenized
_SECRET_VALUE = re.compile(
    r"\b(AKIA|ASIA)[0-9A-Z]{12,}"  # AWS access key ids
    r"|://[^/\s@]*:[^/\s@]+@"  # scheme://user:password@host
    r"|(?i:[?&](?:[\w-]*-)?sig(?:nature)?=)"  # addresses that are signed
    r"|\b(?:hf_[0-9A-Za-z]{20,}|gh[pousr]_[0-9A-Za-z]{30,})"  # tokens of Hugging Face and GitHub
    r"|\beyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]+"  # JSON web tokens
    r"|-----BEGIN"
)
_SECRET_WITHIN = re.compile(rf"[?&#;,{{\s\"'=][\w.-]*{_SECRET}(_\w*)?[\"']?\s*[=:]", re.IGNORECASE)
"""…?token=…, {secret: …}; but not the folder token=1 of a path."""


def refuse_secrets(arguments: Iterable[str]) -> None:
    """Raise a ConfigError at the first argument that looks like a secret; the message does not repeat its value."""
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        named = bool(equals) and "/" not in name and _SECRET_NAME.search(name) is not None
        named = named or _SECRET_WITHIN.search(argument) is not None
        is_path = os.path.exists(argument) or ("?" not in argument and named and names_a_file(argument))
        if (named and not is_path) or _SECRET_VALUE.search(argument):
            where = name.lstrip("+~-") if equals and re.fullmatch(r"[\w.+~-]+", name) else "an argument"
            raise ConfigError(
                f"{where} seems to hold a secret, and settings are stored and printed: give credentials through the "
                "provider's own chain instead (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, the machine's role)"
            )


def quoted(text: str) -> str:
    """Text as Hydra and OmegaConf read it back unchanged: nothing in it is replaced by other settings."""
    escaped = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return str(QuotedString(text=escaped, quote=Quote.single).with_quotes())


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def raise_all(problems: Iterable[str]) -> None:
    """Raise one ConfigError that lists all problems, if there are any."""
    listed = list(problems)
    if listed:
        raise ConfigError("\n  ".join(["wrong settings:", *listed] if len(listed) > 1 else listed))
