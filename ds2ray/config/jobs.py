"""The settings of each job: sections, and settings of its own."""

import math
from dataclasses import dataclass, field

from ds2ray.config.adapt import AdaptConfig
from ds2ray.config.adapter import AdapterConfig
from ds2ray.config.audio import AudioConfig
from ds2ray.config.cluster import ClusterConfig, SpreadConfig
from ds2ray.config.data import LEAST_SEGMENT_S, DataConfig
from ds2ray.config.fields import Choice, require, require_finite, setting
from ds2ray.config.model import ModelConfig
from ds2ray.config.prepare import PrepareConfig
from ds2ray.config.reporting.report import ReportConfig
from ds2ray.config.reporting.training import TrainReportConfig
from ds2ray.config.storage import StorageConfig
from ds2ray.config.sweep import SweepConfig
from ds2ray.config.text import DecodeConfig, LanguageModelConfig, ShownTextConfig, TextConfig
from ds2ray.config.train import TrainConfig

SEGMENT_S = (LEAST_SEGMENT_S, 600.0)
"""More leaves no room in memory for a batch."""


def require_segment_s(max_segment_s: float) -> None:
    """Raise ConfigError where segments cannot be as long as that."""
    least_s, most_s = SEGMENT_S
    allowed = f"{least_s:g} to {most_s:g} seconds"
    require(least_s <= max_segment_s <= most_s, "max_segment_s", max_segment_s, allowed)


def require_transcripts(data: DataConfig) -> None:
    """Raise ConfigError where a job that compares with transcripts, or has nothing else to learn from, is to do
    without."""
    allowed = "it is for adapt_users, and for prepare, which packs for it"
    require(not data.unlabelled, "data.unlabelled", data.unlabelled, allowed)


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """jobs/train.py"""

    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    text: TextConfig = field(default_factory=TextConfig)
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    report: TrainReportConfig = field(default_factory=TrainReportConfig)
    dry_run: bool = setting(False, "validate the data, print the plan and what stands out in the data; start nothing")

    def __post_init__(self) -> None:
        require_finite(self)
        require_transcripts(self.data)


@dataclass(frozen=True, kw_only=True)
class AdaptJob:
    """jobs/adapt_users.py"""

    users: str = setting("", "URI of a table `user_id,manifest`, or of one manifest with a user_id column")
    base: str = setting(
        "", "base id in storage.root, or URI of a base folder or model.pt; empty: the newest of storage.root"
    )
    run_id: str = setting("", "name of this run in storage.root/runs; empty: the time and a random part")
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    dry_run: bool = setting(False, "print the plan; start no Ray and write nothing")

    def __post_init__(self) -> None:
        require_finite(self)


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """jobs/sweep_adapters.py"""

    users: str = setting("", "as for adapt_users")
    base: str = setting("", "as for adapt_users")
    sweep_id: str = setting(
        "",
        "name of this sweep in storage.root/sweeps; empty: a digest of settings, users and base; finished trials of "
        "the same name are not run again",
    )
    sweep: SweepConfig = field(default_factory=SweepConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    dry_run: bool = setting(False, "print the trials, and which of them are finished; start no Ray")

    def __post_init__(self) -> None:
        require_finite(self)
        require_transcripts(self.data)


class Vad(Choice):
    auto = "auto", "silero-vad finds the speech, and only that is recognised, cut at pauses"
    off = "off", "every file is recognised as a whole, silence and noise too, in memory that grows with its length"


@dataclass(frozen=True, kw_only=True)
class TranscribeJob:
    """jobs/transcribe.py"""

    audio: list[str] = setting([], "audio files to recognise, `-` for stdin, or one table, which is a manifest …")
    from_file: str = setting("", "… also those that this list or playlist names, a path a line; `-` for stdin …")
    manifest: str = setting("", "… or a manifest; transcripts in it are compared with what is recognised")
    user: str = setting("", "user whose adapter is used; empty: that of each row of the manifest, else the base alone")
    base: str = setting("", "as for adapt_users")
    output: str = setting(
        "",
        "URI that receives the hypotheses, .jsonl, .csv, .parquet, .srt, .vtt or .ctm, with `{id}` in it one each; or "
        "a folder, `heard/`, for a manifest of any size, in parts; empty: the terminal",
    )
    batch_s: float = setting(60.0, "seconds of padded audio per batch")
    vad: Vad = setting(Vad.auto, "voice activity: what of a file is recognised")
    max_segment_s: float = setting(30.0, "with vad=auto, longer speech is cut at its pauses")
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    max_open: int = setting(512, "users whose adapters stay in memory: 512 of the default shape take some 700 MB")
    fresh_s: float = setting(
        60.0, "seconds after which it is looked whether a user has a newer adapter; inf: never", may_be_infinite=True
    )
    data: DataConfig = field(default_factory=lambda: DataConfig(max_duration_s=math.inf))
    storage: StorageConfig = field(default_factory=StorageConfig)
    text: ShownTextConfig = field(default_factory=ShownTextConfig)
    spread: SpreadConfig = field(default_factory=SpreadConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        require_finite(self)
        require(self.batch_s > 0, "batch_s", self.batch_s, "above 0")
        require_segment_s(self.max_segment_s)
        require(self.max_open >= 1, "max_open", self.max_open, "at least 1")
        require(self.fresh_s >= 0, "fresh_s", self.fresh_s, "0 (before every batch) or more seconds")


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """jobs/export.py"""

    output: str = setting("", "URI of the .pt2 file that is written")
    user: str = setting("", "user whose adapter becomes a part of the file; empty: the base alone")
    base: str = setting("", "as for adapt_users")
    storage: StorageConfig = field(default_factory=StorageConfig)

    def __post_init__(self) -> None:
        require_finite(self)


@dataclass(frozen=True, kw_only=True)
class EvaluateJob:
    """jobs/evaluate.py"""

    manifest: str = setting("", "URI of a manifest with transcripts that neither base nor adapters have seen")
    by: list[str] = setting(
        ["user_id", "duration_s"], "columns of the manifest by which errors are told apart: source, age …"
    )
    base: str = setting("", "as for adapt_users")
    against: str = setting("", "another base, named in the same ways, that this one is compared with")
    user: str = setting("", "user whose adapter is used; empty: that of each row of the manifest")
    users: str = setting("", "the users table that adapters came from: gains are then shown by minutes of speech")
    num_others: int = setting(
        20, "utterances of other users that each adapter is tried on, to see what it forgets; 0: none"
    )
    output_dir: str = setting("./outputs/evaluation", "URI that receives evaluation.json and evaluation.html")
    batch_s: float = setting(60.0, "seconds of padded audio per batch")
    vad: Vad = setting(Vad.auto, "voice activity: what of a file is recognised")
    max_segment_s: float = setting(30.0, "with vad=auto, longer speech is cut at its pauses")
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    data: DataConfig = field(default_factory=lambda: DataConfig(max_duration_s=math.inf))
    storage: StorageConfig = field(default_factory=StorageConfig)

    def __post_init__(self) -> None:
        require_finite(self)
        require_transcripts(self.data)
        require(self.batch_s > 0, "batch_s", self.batch_s, "above 0")
        require(self.num_others >= 0, "num_others", self.num_others, "at least 0")
        require_segment_s(self.max_segment_s)


@dataclass(frozen=True, kw_only=True)
class LanguageModelJob:
    """jobs/language_model.py"""

    texts: list[str] = setting(
        [], "URIs of texts, a sentence a line (.txt, .txt.gz), or of manifests and corpora, whose transcripts are read"
    )
    base: str = setting("", "base id in storage.root, or URI of a base folder; empty: the newest of storage.root")
    lm: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    dry_run: bool = setting(False, "make the model and measure it; write nothing")

    def __post_init__(self) -> None:
        require_finite(self)


@dataclass(frozen=True, kw_only=True)
class WordsJob:
    """jobs/words.py"""

    user: str = setting("", "whose own words they are")
    file: str = setting("", "URI of a text, a word or phrase a line, with a weight behind a tab where it has one")
    words: list[str] = setting([], "words and phrases, each with a weight behind a colon where it has one, `kim:2`")
    version: str = setting("", "an earlier version that is to be the current one again")
    erase: bool = setting(False, "delete all versions of the user's own words")
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)

    def __post_init__(self) -> None:
        require_finite(self)


@dataclass(frozen=True, kw_only=True)
class CalibrateJob:
    """jobs/calibrate.py"""

    manifest: str = setting("", "URI of a manifest with transcripts, of speech like that which will be recognised")
    base: str = setting("", "base id in storage.root, or URI of a base folder; empty: the newest of storage.root")
    batch_s: float = setting(60.0, "seconds of padded audio per batch")
    vad: Vad = setting(Vad.auto, "voice activity: what of a file is recognised")
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    dry_run: bool = setting(False, "recognise and tell the errors; write nothing")

    def __post_init__(self) -> None:
        require_finite(self)
        require_transcripts(self.data)
        require(self.batch_s > 0, "batch_s", self.batch_s, "above 0")


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """jobs/prepare.py"""

    source: str = setting(
        "", "URI of a corpus: a folder, a manifest, a table `user_id,manifest`, transcripts.txt or a .tsv"
    )
    output: str = setting("", "URI of the folder that receives the packed files, their table and dropped.csv")
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    dry_run: bool = setting(False, "read and check the corpus and print the plan; write nothing")

    def __post_init__(self) -> None:
        require_finite(self)


@dataclass(frozen=True, kw_only=True)
class DemoJob:
    """jobs/demo.py"""

    output_dir: str = setting("./demo-data", "receives the corpus, the store and the outputs")
    seed: int = setting(0, "of the corpus")
    num_train_sentences: int = setting(400, "spoken by the base's ordinary voices")
    num_user_sentences: int = setting(40, "per user, for adaptation")
    num_test_sentences: int = setting(25, "per user, seen by no training and no gate")
    model: ModelConfig = field(default_factory=ModelConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        require_finite(self)
        for name in ("num_train_sentences", "num_user_sentences", "num_test_sentences"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
