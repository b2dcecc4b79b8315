"""Every setting, with its type, default and meaning: the only place where defaults stand. A file per section.

`conf/` holds the presets that differ from these defaults. The jobs compose both with Hydra into these frozen
dataclasses; nothing below the jobs sees a Hydra object.
"""

from ds2ray.config.adapt import AdaptConfig, Canary, Retry
from ds2ray.config.adapter import (
    LAST_LAYER,
    Activation,
    AdapterConfig,
    AdapterKind,
    adapter_from_plain,
    adapter_to_plain,
)
from ds2ray.config.audio import AudioConfig, Statistics, audio_from_plain, audio_to_plain
from ds2ray.config.cluster import ClusterConfig, SpreadConfig, SubmitJob
from ds2ray.config.data import BadRows, DataConfig, ProbeAudio, UnknownCharacters
from ds2ray.config.fields import Choice, from_plain, require, setting, to_plain
from ds2ray.config.jobs import (
    AdaptJob,
    CalibrateJob,
    DemoJob,
    EvaluateJob,
    ExportJob,
    LanguageModelJob,
    PrepareJob,
    SweepJob,
    TrainJob,
    TranscribeJob,
    Vad,
    WordsJob,
)
from ds2ray.config.model import Architecture, ConformerConfig, ModelConfig, RnnType, model_from_plain, model_to_plain
from ds2ray.config.prepare import CorpusFormat, PackBy, PrepareConfig
from ds2ray.config.reporting.report import ReportConfig, ReportJob
from ds2ray.config.reporting.training import TrainReportConfig
from ds2ray.config.storage import Checked, Scanned, StorageConfig, StoreJob
from ds2ray.config.sweep import Best, Search, SweepConfig
from ds2ray.config.text import (
    DecodeConfig,
    DecoderKind,
    LanguageModelConfig,
    LanguageModelUnit,
    ShownTextConfig,
    TextConfig,
    TextUnit,
)
from ds2ray.config.train import AugmentConfig, ErrorMetric, OptimizerType, Precision, Schedule, Tracker, TrainConfig

__all__ = [
    "LAST_LAYER",
    "Activation",
    "AdaptConfig",
    "AdaptJob",
    "AdapterConfig",
    "AdapterKind",
    "Architecture",
    "AudioConfig",
    "AugmentConfig",
    "BadRows",
    "Best",
    "CalibrateJob",
    "Canary",
    "Checked",
    "Choice",
    "ClusterConfig",
    "ConformerConfig",
    "CorpusFormat",
    "DataConfig",
    "DecodeConfig",
    "DecoderKind",
    "DemoJob",
    "ErrorMetric",
    "EvaluateJob",
    "ExportJob",
    "LanguageModelConfig",
    "LanguageModelJob",
    "LanguageModelUnit",
    "ModelConfig",
    "OptimizerType",
    "PackBy",
    "Precision",
    "PrepareConfig",
    "PrepareJob",
    "ProbeAudio",
    "ReportConfig",
    "ReportJob",
    "Retry",
    "RnnType",
    "Scanned",
    "Schedule",
    "Search",
    "ShownTextConfig",
    "SpreadConfig",
    "Statistics",
    "StorageConfig",
    "StoreJob",
    "SubmitJob",
    "SweepConfig",
    "SweepJob",
    "TextConfig",
    "TextUnit",
    "Tracker",
    "TrainConfig",
    "TrainJob",
    "TrainReportConfig",
    "TranscribeJob",
    "UnknownCharacters",
    "Vad",
    "WordsJob",
    "adapter_from_plain",
    "adapter_to_plain",
    "audio_from_plain",
    "audio_to_plain",
    "from_plain",
    "model_from_plain",
    "model_to_plain",
    "require",
    "setting",
    "to_plain",
]
