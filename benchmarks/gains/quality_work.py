"""The work of the processes of `quality`: adapters and fully tuned copies, scored on unseen speech."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import torch

from benchmarks.full_tuning import FullRecipe, Heard, fine_tune, hear, wer_of
from benchmarks.recipes import Recipe
from benchmarks.speech import Speaker, digest
from ds2ray import storage
from ds2ray.config import AdaptConfig
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.files import load_model_file
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.cohort import adapt_cohort, results_of


@dataclass(frozen=True)
class Setting:
    """The setting of all work: the base, and speech of the ordinary voices that the base was validated on."""

    base_path: str
    ordinary: tuple[Utterance, ...]
    cache: str


@dataclass(frozen=True)
class AdapterScore:
    """The score of a user with the adapter that would be published; WERs in percent, on test and ordinary speech."""

    user_id: str
    wer_base: float
    wer_adapter: float
    wer_ordinary: float
    published: bool
    harmed_at_gate: bool

    @property
    def harmed(self) -> bool:
        return self.wer_adapter > self.wer_base


@dataclass(frozen=True)
class FullScore:
    """The score of a user with a fully tuned copy of the base; WERs in percent."""

    user_id: str
    held_out_loss: float
    wer: float
    wer_ordinary: float


def one_thread() -> None:
    """Prepare a process of the pool for work beside other processes: one thread."""
    torch.set_num_threads(1)


def ordinary_wer(setting: Setting) -> float:
    """The base's WER on ordinary speech, in percent."""
    base = _base(setting.base_path)
    return wer_of(base.model, _ordinary(setting), base.vocabulary)


def adapt_users(setting: Setting, users: Sequence[Speaker], recipe: Recipe) -> list[AdapterScore]:
    """Train the users' adapters as one cohort and score each."""
    base = _base(setting.base_path)
    cohort = {user.user_id: user.adapt for user in users}
    events = adapt_cohort(base, cohort, recipe.adapter, recipe.adapt)
    results = {result.user_key: result for result in results_of(events)}
    scores = []
    for user in users:
        result, heard = results[user.user_id], hear(base, user.test)
        wer_base = wer_adapter = wer_of(base.model, heard, base.vocabulary)
        wer_ordinary = wer_of(base.model, _ordinary(setting), base.vocabulary)
        harmed_at_gate = False
        if result.fit is None:
            raise RuntimeError(f"{user.user_id} could not be trained: {result.reason}")
        if result.better:
            base.model.add_adapter(recipe.adapter)
            assert isinstance(base.model.adapter, Adapter)
            base.model.adapter.load_state_dict(result.fit.state)
            wer_adapter = wer_of(base.model, heard, base.vocabulary)
            wer_ordinary = wer_of(base.model, _ordinary(setting), base.vocabulary)
            base.model.adapter = None
            metric = recipe.adapt.gate_metric
            harmed_at_gate = result.fit.score_after.rate(metric) > result.fit.score_before.rate(metric)
        scores.append(AdapterScore(user.user_id, wer_base, wer_adapter, wer_ordinary, result.better, harmed_at_gate))
    return scores


def tune_fully(setting: Setting, user: Speaker, recipe: FullRecipe, adapt: AdaptConfig) -> FullScore:
    """Tune a copy of the base for one user and score it; a copy that was tuned before is read from the cache."""
    base = _base(setting.base_path)
    uri = storage.join(setting.cache, "full", f"{_key(base, user, recipe, adapt)}.json")
    if storage.exists(uri):
        return FullScore(**storage.read_json(uri))
    model, loss = fine_tune(base, user, recipe, adapt)
    score = FullScore(
        user.user_id,
        loss,
        wer_of(model, hear(base, user.test), base.vocabulary),
        wer_of(model, _ordinary(setting), base.vocabulary),
    )
    storage.write_json(uri, asdict(score))
    return score


def _key(base: Base, user: Speaker, recipe: FullRecipe, adapt: AdaptConfig) -> str:
    matters = ("num_epochs", "patience_epochs", "batch_size", "held_out_fraction", "weight_decay", "max_grad_norm")
    settings = [getattr(adapt, name) for name in (*matters, "seed")]
    said = [(u.audio, u.transcript) for u in (*user.adapt, *user.test)]
    return digest(json.dumps([base.fingerprint, asdict(recipe), settings, said]))


@lru_cache(maxsize=1)
def _base(path: str) -> Base:
    base = load_model_file(path)
    base.model.eval()
    return base


@lru_cache(maxsize=1)
def _ordinary(setting: Setting) -> Heard:
    return hear(_base(setting.base_path), setting.ordinary)
