import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gains import quality
from benchmarks.recipes import parse_recipe
from benchmarks.speech import base_corpus, saved_random_base, speakers, virtual_voices, vocabulary_of
from ds2ray.config import Activation, AdapterConfig
from ds2ray.errors import ConfigError

pytestmark = pytest.mark.process  # the speech is made by processes

SIZES = ("--users", "3", "--test-sentences", "2", "--base-sentences", "20", "--workers", "1", "--full-rates", "0.001")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def line(cache: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    users = speakers(cache, 3, 0.2, 2, base_corpus(cache, 20, 40))
    vocabulary = vocabulary_of([u for user in users for u in (*user.adapt, *user.test)])
    base = saved_random_base("tiny", vocabulary, cache)
    recipes = ["default=num_epochs=3", "first=after_layer=0,num_epochs=1,hidden_dims=8"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        quality.main([*SIZES, "--quick", "--minutes", "0.2", "--base", base, "--cache", cache, "--recipes", *recipes])
    printed: dict[str, Any] = json.loads(out.getvalue())
    return printed


def test_every_recipe_is_a_row_beside_the_default(line: dict[str, Any]) -> None:
    default, first = line["tried"]
    assert (default["recipe"], default["epochs"], default["users"], default["minutes"]) == ("default", 3, 3, 0.2)
    assert (first["recipe"], first["after_layer"], first["epochs"], first["users"]) == ("first", 0, 1, 2)
    assert {name: line[name] for name in ("gain_recovered", "harmed", "harmed_at_gate", "users")} == {
        name: default[name] for name in ("gain_recovered", "harmed", "harmed_at_gate", "users")
    }
    assert line["harmed_at_gate"] == 0
    assert line["users_full"] == 2
    assert 0 < line["parameters_share_ds2"] < 0.04


def test_what_was_tuned_fully_is_not_tuned_again(line: dict[str, Any], cache: str) -> None:
    # one pilot: a rate, moving statistics, masks; then the second user with the best of them
    kept = list((Path(cache) / "full").iterdir())
    assert len(kept) == 4
    assert {json.loads(path.read_text())["user_id"] for path in kept} == {"fiona-0", "winston-0"}


def test_a_recipe_names_settings_of_both_configs() -> None:
    recipe = parse_recipe("early=after_layer=0,hidden_dims=64x32,activation=gelu,num_epochs=15,force=true")
    assert recipe.adapter == AdapterConfig(after_layer=0, hidden_dims=[64, 32], activation=Activation.gelu)
    assert (recipe.name, recipe.adapt.num_epochs, recipe.adapt.force) == ("early", 15, True)


@pytest.mark.parametrize("text", ["x=epochs=3", "x=num_epochs=many", "x=activation=none", "x=force=perhaps"])
def test_a_recipe_that_is_not_possible_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=text.split("=")[1]):
        parse_recipe(text)


def test_users_are_different_people() -> None:
    voices = virtual_voices(64)
    assert len(voices) == len({repr(voice) for voice in voices.values()}) == 64


def test_a_user_says_no_sentence_twice_and_none_of_the_base(cache: str) -> None:
    from ds2ray.tables.manifest import read_manifest

    ordinary = base_corpus(cache, 20, 40)
    (user,) = speakers(cache, 1, 0.5, 4, ordinary)
    said = [u.transcript for u in (*user.adapt, *user.test)]
    assert len(said) == len(set(said))
    assert len(user.test) == 4
    assert sum(u.duration_s or 0.0 for u in user.adapt) >= 30
    assert 24 < sum(u.duration_s or 0.0 for u in user.with_minutes(0.5).adapt) < 36
    assert not set(said) & {u.transcript for u in read_manifest(ordinary.train_manifest).utterances}
