"""The shape of every architecture; `ds2ray.model.building` has their models."""

from ds2ray.config import Architecture, AudioConfig, ModelConfig
from ds2ray.shapes.conformer import ConformerShape
from ds2ray.shapes.deepspeech2 import DeepSpeech2Shape
from ds2ray.shapes.shape import Shape

SHAPES: dict[Architecture, type[Shape]] = {
    Architecture.deepspeech2: DeepSpeech2Shape,
    Architecture.conformer: ConformerShape,
}


def shape_of(model: ModelConfig, audio: AudioConfig) -> Shape:
    """The shape of a model with these settings."""
    return SHAPES[model.architecture](model, audio)
