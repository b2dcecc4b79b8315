"""Settings that are given and that nothing would come of, beside others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class _Rule:
    """A rule: settings that are ignored, and when.

    Attributes:
        keys: of settings; one that ends in a dot is a section.
        beside: the settings of which one makes it so, by being given, or with `absent` by not being given.
    """

    keys: tuple[str, ...]
    beside: tuple[str, ...]
    why: str
    absent: bool = False


_START = ("train.pretrained_model_path", "train.base_model_path")
_RULES = {
    "train": (
        _Rule(("model.", "audio.", "text."), _START, "the model file says it"),
        _Rule(("train.valid_fraction",), ("train.valid_manifest",), "nothing is held out"),
        _Rule(("train.dataset_path",), ("train.manifest",), "its audio starts from the manifest's own folder"),
        _Rule(("adapter.", "train.adapter_save_dir"), ("train.base_model_path",), "no adapter is trained", absent=True),
    ),
    "adapt_users": (
        _Rule(
            ("adapt.anchor_weight", "adapt.max_anchor_rise"),
            ("adapt.anchor_manifest",),
            "there is no ordinary speech to hold adapters to",
            absent=True,
        ),
    ),
    "prepare": (_Rule(("prepare.base",), ("data.segment_long",), "nothing is cut", absent=True),),
}


def ignored_settings(job_name: str, given: Collection[str], values: Mapping[str, object]) -> list[str]:
    """A message for each setting of a command line that other settings make meaningless.

    Args:
        given: keys of the settings on the command line; what a preset brings is not among them.
        values: all settings by key.
    """
    return [
        message
        for rule in _RULES.get(job_name, ())
        for key in sorted(given)
        if key.startswith(rule.keys)
        for message in [_message(rule, key, values)]
        if message
    ]


def _message(rule: _Rule, key: str, values: Mapping[str, object]) -> str:
    present = [name for name in rule.beside if values.get(name)]
    if rule.absent:
        return "" if present else f"{key} is of no use without {' or '.join(rule.beside)}: {rule.why}; leave it out"
    return f"{key} is of no use beside {present[0]}: {rule.why}; leave it out" if present else ""
