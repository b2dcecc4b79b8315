"""The whole way of another architecture and another kind: a base is trained, speech encoded, users adapted."""

import copy
from dataclasses import replace
from pathlib import Path

import torch
from architectures import TOY_CONFORMER
from base_training import make_task, train
from toy_speech import make_utterances

from ds2ray.config import AdaptConfig, AdapterConfig, AdapterKind, Statistics
from ds2ray.training.adapters.cohort import adapt_cohort, results_of

ADAPT = AdaptConfig(num_epochs=10, batch_size=4, learning_rate=0.1, cross_validate_below=0)


def test_a_conformer_learns_as_a_base_and_lhuc_adapts_it_to_users(tmp_path: Path) -> None:
    task = make_task(tmp_path, num_train=36, num_valid=8, num_epochs=20, learning_rate=3e-3)
    # in tones of one channel each, a higher voice is another channel: heard by statistics of the whole utterance
    audio = replace(task.audio, statistics=Statistics.utterance)
    base, reports = train(replace(task, model=TOY_CONFORMER, audio=audio))
    assert reports[-1].valid_loss < 0.4 * reports[0].valid_loss
    assert base.model_config == TOY_CONFORMER

    before = {name: tensor.clone() for name, tensor in base.model.base_state().items()}
    users = {
        name: make_utterances(tmp_path, 10, seed=seed, pitch=pitch)
        for seed, (name, pitch) in enumerate((("ann", 1.35), ("bob", 0.75)), start=20)
    }
    for after_layer in (1, -1):
        adapter = AdapterConfig(kind=AdapterKind.lhuc, after_layer=after_layer)
        results = results_of(adapt_cohort(copy.deepcopy(base), users, adapter, ADAPT))
        fits = {result.user_key: result.fit for result in results}
        for fit in fits.values():
            assert fit is not None
            assert set(fit.state) == {"log_odds", "shift"}
            assert fit.loss_after <= fit.loss_before
        far = fits["ann"]  # whose voice the base makes little of
        assert far is not None
        assert far.loss_after < 0.9 * far.loss_before
    for name, tensor in base.model.base_state().items():
        assert torch.equal(tensor, before[name]), name
