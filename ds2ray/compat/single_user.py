"""KoSpeech's job for a single user: the adapter is trained in this process, saved as a file and published."""

import torch

from ds2ray import display, storage
from ds2ray.batching.batches import SpeechDataset
from ds2ray.compat.adapter_trainer import AdapterTrainer
from ds2ray.config import AdaptConfig, TrainJob, adapter_to_plain, to_plain
from ds2ray.fleet.fingerprints import user_fingerprint
from ds2ray.model.stored import ensure_base
from ds2ray.model.weights import Base, to_bytes
from ds2ray.store import Store, publish_adapter, require_salt, shown_user, user_key
from ds2ray.training.adapters.judging.gate import gate, improvement
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.judging.split import OWN_MANIFEST
from ds2ray.training.base.sources import TrainingData
from ds2ray.training.optim import build_optimizer
from ds2ray.training.seeds import derive_seed
from ds2ray.upkeep.erasing import refuse_erased
from ds2ray.uris import recording_of


def train_one_adapter(job: TrainJob, store: Store, base: Base, data: TrainingData) -> int:
    """Train, save and, where the gate allows it, publish the adapter of `train.adapter_name`; returns the exit code."""
    model, train = base.model, job.train
    require_salt(store)  # before anything takes time
    refuse_erased(store, user_key(train.adapter_name), train.adapter_name)
    torch.manual_seed(derive_seed(train.seed, train.adapter_name))
    model.add_adapter(job.adapter)
    assert model.adapter is not None
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    train_set = SpeechDataset(data.train, base.vocabulary, base.audio)
    trainer = AdapterTrainer(
        optimizer=build_optimizer(model.adapter.parameters(), train.optimizer, train.learning_rate, train.weight_decay),
        trainset_list=[train_set],
        validset=SpeechDataset(data.valid, base.vocabulary, base.audio),
        device=model.device,
        vocab=base.vocabulary,
        adapter_save_dir=train.adapter_save_dir,
        config=AdaptConfig(max_grad_norm=train.max_grad_norm, gate_metric=train.metric, seed=train.seed),
    )
    trainer.train(model, train.batch_size, len(train_set), train.num_epochs, train.adapter_name)
    fit = trainer.fit
    assert fit is not None
    name, before, after = (
        train.metric.name.upper(),
        fit.score_before.rate(train.metric),
        fit.score_after.rate(train.metric),
    )
    path = storage.join(train.adapter_save_dir, f"{train.adapter_name}_adapter.pt")
    display.say(
        f"adapter {train.adapter_name}: held-out {name} {before:.1%} → {after:.1%}, {fit.epochs} epochs, saved {path}"
    )
    display.say(publish_one_adapter(job, store, base, fit, data))
    return 0


def publish_one_adapter(job: TrainJob, store: Store, base: Base, fit: AdapterFit, data: TrainingData) -> str:
    """Publish an adapter that passes the gate under its user's key; returns a line that says what was done."""
    metric = job.train.metric
    reason = gate(fit, None, metric, AdaptConfig.gate_confidence)
    if reason:
        return f"not published in {store}: {reason}"
    utterances = [*data.train, *data.valid]
    objects = storage.stat_many(recording_of(u.audio) for u in utterances if isinstance(u.audio, str))
    require_salt(store, writing=True)
    ensure_base(store, base, run_id=job.train.base_model_path)
    pointer = publish_adapter(
        store,
        user_key(job.train.adapter_name),
        to_bytes(fit.state),
        base_fingerprint=base.fingerprint,
        data_fingerprint=user_fingerprint(utterances, objects, base.fingerprint, to_plain(job.train)),
        adapter=adapter_to_plain(job.adapter),
        run_id="train",
        error_before=fit.score_before.rate(metric),
        error_after=fit.score_after.rate(metric),
        split=OWN_MANIFEST,
        improvement=improvement(fit, metric),
    )
    return f"published in {store} as version {pointer.version} of user {shown_user(pointer.user_key)}"
