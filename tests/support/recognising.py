"""Random adapters, bases of other shapes, and texts of hypotheses, for tests of recognition."""

import torch

from ds2ray.config import AdapterConfig, AudioConfig, ModelConfig, TextConfig, to_plain
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.weights import Base, to_bytes
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.store import AdapterPointer, Store, publish_adapter
from ds2ray.text import Vocabulary


def publish_random_adapter(root: str, base: Base, user: str, after_layer: int = -1) -> AdapterPointer:
    """An adapter that changes a lot, and for every user something else."""
    config = AdapterConfig(hidden_dims=[8], after_layer=after_layer)
    torch.manual_seed(sum(user.encode()))
    adapter = MLPAdapter.from_config(base.model.encoding_dim(after_layer), config)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.normal_()
    return publish_adapter(
        Store(root),
        user,
        to_bytes(adapter.state_dict()),
        base_fingerprint=base.fingerprint,
        data_fingerprint="",
        adapter=to_plain(config),
        run_id="test",
        error_before=None,
        error_after=None,
    )


def other_base() -> Base:
    audio, model = AudioConfig(num_mels=8), ModelConfig(conv_channels=2, num_rnn_layers=1, rnn_hidden_dim=6)
    vocabulary = Vocabulary.from_transcripts(["ab"], TextConfig())
    return Base.of(DeepSpeech2.from_config(model, audio.num_mels, len(vocabulary)), model, audio, vocabulary)


def texts(hypotheses: list[Hypothesis]) -> list[str]:
    return [hypothesis.text for hypothesis in hypotheses]
