"""Personalised speech recognition for fleets of users: DeepSpeech2 and per-user adapters, trained on Ray.

The names below are the public face. Each is imported when it is first used, so that `import ds2ray` costs nothing and
code that needs no torch never loads it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ds2ray.batching.batches import SpeechDataset
    from ds2ray.compat.adapter_manager import AdapterManager
    from ds2ray.compat.adapter_trainer import AdapterTrainer
    from ds2ray.model.adapters.mlp import MLPAdapter
    from ds2ray.model.deepspeech2 import DeepSpeech2
    from ds2ray.recognition.transcriber import Transcriber
    from ds2ray.text import Vocabulary

__version__ = "0.1.0"

__all__ = [
    "AdapterManager",
    "AdapterTrainer",
    "DeepSpeech2",
    "MLPAdapter",
    "SpeechDataset",
    "Transcriber",
    "Vocabulary",
]

_MODULES = {
    "AdapterManager": "ds2ray.compat.adapter_manager",
    "AdapterTrainer": "ds2ray.compat.adapter_trainer",
    "DeepSpeech2": "ds2ray.model.deepspeech2",
    "MLPAdapter": "ds2ray.model.adapters.mlp",
    "SpeechDataset": "ds2ray.batching.batches",
    "Transcriber": "ds2ray.recognition.transcriber",
    "Vocabulary": "ds2ray.text",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
