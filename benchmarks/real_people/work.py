"""The gain of one real person from adapters, measured in processes of their own.

A person's test sentences are recognised by the base, with each recipe's adapter, and by a copy of the base with all
weights tuned on the same utterances. What is published is what is scored: where the gate keeps an adapter back, the
person has the base.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.full_tuning import FullRecipe, Heard, fine_tune, hear, scores_of
from benchmarks.recipes import Recipe
from benchmarks.speech import Speaker
from ds2ray.metrics import Score
from ds2ray.model.files import load_model_file
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.cohort import adapt_cohort, results_of

Scores = tuple[Score, ...]
"""A score for each sentence."""

BASE, FULL = "base", "full"


@dataclass(frozen=True)
class PersonScores:
    """Scores of one person by system: `base`, `full` and the recipes' names.

    Attributes:
        own: of the person's test sentences.
        others: of other people's sentences through the person's adapter or copy.
        published: recipes whose adapter passed the gate.
        held_out_loss: of the fully tuned copy; 0 without one.
    """

    user_id: str
    own: dict[str, Scores]
    others: dict[str, Scores]
    published: frozenset[str]
    held_out_loss: float = 0.0


@dataclass(frozen=True)
class Setting:
    """The base, the recipes and the sentences of other people, which the work on all people shares."""

    base_path: str
    recipes: tuple[Recipe, ...]
    full: FullRecipe | None
    others: tuple[Utterance, ...]


def score_person(setting: Setting, person: Speaker) -> PersonScores:
    """Train and score one person's adapters, and the copy where the setting asks for one."""
    base = _base(setting.base_path)
    test, others = hear(base, person.test), _others(setting)
    own = {BASE: scores_of(base.model, test, base.vocabulary)}
    foreign = {BASE: scores_of(base.model, others, base.vocabulary)}
    published = set()
    for recipe in setting.recipes:
        own[recipe.name], foreign[recipe.name] = own[BASE], foreign[BASE]
        (result,) = results_of(adapt_cohort(base, {person.user_id: person.adapt}, recipe.adapter, recipe.adapt))
        if result.fit is None:
            raise RuntimeError(f"{person.user_id} could not be trained: {result.reason}")
        if not result.better:
            continue
        published.add(recipe.name)
        base.model.add_adapter(recipe.adapter)
        assert base.model.adapter is not None
        base.model.adapter.load_state_dict(result.fit.state)
        own[recipe.name] = scores_of(base.model, test, base.vocabulary)
        foreign[recipe.name] = scores_of(base.model, others, base.vocabulary)
        base.model.adapter = None
    loss = 0.0
    if setting.full is not None:
        copy, loss = fine_tune(base, person, setting.full, setting.recipes[0].adapt)
        own[FULL] = scores_of(copy, test, base.vocabulary)
        foreign[FULL] = scores_of(copy, others, base.vocabulary)
    return PersonScores(person.user_id, own, foreign, frozenset(published), loss)


def tuned_loss(base_path: str, person: Speaker, recipe: FullRecipe, like: Recipe) -> float:
    """The held-out loss of a fully tuned copy."""
    return fine_tune(_base(base_path), person, recipe, like.adapt)[1]


@lru_cache(1)
def _base(base_path: str) -> Base:
    return load_model_file(base_path)


_heard: dict[tuple[Utterance, ...], Heard] = {}


def _others(setting: Setting) -> Heard:
    if setting.others not in _heard:
        _heard[setting.others] = hear(_base(setting.base_path), setting.others)
    return _heard[setting.others]


def sentences_apart(
    utterances: Sequence[Utterance], num_adapt: int, num_test: int, taken: frozenset[str]
) -> tuple[list[Utterance], list[Utterance]]:
    """A person's utterances to adapt to and to test on.

    A sentence that is in `taken`, or that the person has said to adapt, tests nothing.
    """
    adapt = list(utterances[:num_adapt])
    known = taken | {utterance.transcript for utterance in adapt}
    test = [utterance for utterance in utterances[num_adapt:] if utterance.transcript not in known]
    return adapt, test[:num_test]
