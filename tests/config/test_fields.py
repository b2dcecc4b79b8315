"""Settings that say what they mean: fields, choices, and both in plain values."""

import pickle
from dataclasses import dataclass, fields
from typing import Any

import pytest
from omegaconf import OmegaConf

from ds2ray import config
from ds2ray.config import BadRows, Choice, Precision, from_plain, require, setting, to_plain
from ds2ray.errors import ArtifactCorruptError, NewerReleaseError


class Colour(Choice):
    red = "r", "as blood"
    blue = "b"


@dataclass(kw_only=True)
class Paint:
    """A toy section of settings."""

    colour: Colour = setting(Colour.red, "what one sees")
    layers: list[list[int]] = setting([[1], [2, 3]], "from below")
    litres: float = setting(1.5, "in the bucket")

    def __post_init__(self) -> None:
        require(self.litres > 0, "paint.litres", self.litres, "above 0")


def test_a_field_says_what_it_means() -> None:
    assert {f.name: f.metadata["help"] for f in fields(Paint)} == {
        "colour": "what one sees",
        "layers": "from below",
        "litres": "in the bucket",
    }


def test_defaults_that_can_change_belong_to_one_instance() -> None:
    first, second = Paint(), Paint()
    first.layers[0].append(4)
    assert second.layers == Paint().layers == [[1], [2, 3]]


def test_a_choice_is_its_value_and_says_what_it_means() -> None:
    assert (Colour.red.value, Colour.red.meaning, Colour.blue.meaning) == ("r", "as blood", "")
    assert Colour("b") is Colour["blue"] is Colour.blue
    assert pickle.loads(pickle.dumps(BadRows.drop)) is BadRows.drop
    assert Precision.auto.meaning == "bfloat16 on GPUs, float32 elsewhere"


def test_plain_values_come_back() -> None:
    paint = Paint(colour=Colour.blue)
    assert to_plain(paint) == {"colour": "b", "layers": [[1], [2, 3]], "litres": 1.5}
    assert from_plain(Paint, to_plain(paint)) == paint


def test_what_is_not_stored_has_its_default() -> None:
    assert from_plain(Paint, {"litres": 0.5}) == Paint(litres=0.5)


@pytest.mark.parametrize(("name", "value"), [("gloss", True), ("colour", "green")])
def test_what_a_newer_release_has_stored_is_told_with_file_and_field(name: str, value: object) -> None:
    with pytest.raises(NewerReleaseError, match=rf"^base.json: unknown .* paint\.{name}.*: it was written by a newer"):
        from_plain(Paint, {"litres": 0.5, name: value}, "base.json")


@pytest.mark.parametrize("values", [None, "ds2", {"litres": -1.0}, {"litres": "many"}])
def test_damaged_settings_are_told_with_their_file(values: Any) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"^base.json: its description is damaged, in the paint settings"):
        from_plain(Paint, values, "base.json")


def test_structured_configs_take_overrides_of_them() -> None:
    typed = OmegaConf.merge(OmegaConf.structured(Paint), OmegaConf.from_dotlist(["colour=blue", "layers=[[7]]"]))
    assert OmegaConf.to_object(typed) == Paint(colour=Colour.blue, layers=[[7]])


@pytest.mark.parametrize("name", config.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert hasattr(config, name)
