"""DeepSpeech2: convolutions and recurrent layers."""

from ds2ray.model.deepspeech2.model import DeepSpeech2

__all__ = ["DeepSpeech2"]
