"""The model of every architecture; `ds2ray.shapes.architectures` has their shapes."""

from collections.abc import Callable

from ds2ray.config import Architecture, AudioConfig, ModelConfig
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.conformer import ConformerCTC
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.shapes.architectures import shape_of
from ds2ray.shapes.shape import Shape

Builder = Callable[[Shape, int], AcousticModel]
"""(shape, size of the vocabulary) → a model with fresh weights."""

BUILDERS: dict[Architecture, Builder] = {
    Architecture.deepspeech2: lambda shape, num_classes: DeepSpeech2.from_config(
        shape.model, shape.audio.num_mels, num_classes
    ),
    Architecture.conformer: ConformerCTC,
}


def build_model(config: ModelConfig, audio: AudioConfig, num_classes: int) -> AcousticModel:
    """A model of the given settings, without an adapter, with random weights from torch's generator.

    Args:
        num_classes: size of the vocabulary with the blank.
    """
    shape = shape_of(config, audio)
    model = BUILDERS[config.architecture](shape, num_classes)
    model.shape = shape
    return model
