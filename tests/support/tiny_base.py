"""A base that is as small as one can be, with random weights."""

import torch

from ds2ray.config import AudioConfig, ModelConfig, TextConfig
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.weights import Base
from ds2ray.text import Vocabulary

MODEL = ModelConfig(conv_channels=2, num_rnn_layers=1, rnn_hidden_dim=6)
AUDIO = AudioConfig(num_mels=8)
VOCABULARY = Vocabulary.from_transcripts(["abc"], TextConfig())


def make_base(seed: int = 0) -> Base:
    torch.manual_seed(seed)
    return Base.of(DeepSpeech2.from_config(MODEL, AUDIO.num_mels, len(VOCABULARY)), MODEL, AUDIO, VOCABULARY)
