"""Every setting, with its type, its default and what it means: the only place where defaults stand.

`conf/` holds the presets that differ from these defaults. The jobs compose both with Hydra into these plain
dataclasses; nothing below the jobs sees a Hydra object.
"""

from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar

from ds2ray.errors import ConfigError

T = TypeVar("T")

LAST_LAYER = -1
"""`after_layer` value that means: after the last recurrent layer."""


class RnnType(Enum):
    gru = "gru"
    lstm = "lstm"
    rnn = "rnn"


class Activation(Enum):
    relu = "relu"
    gelu = "gelu"
    silu = "silu"
    tanh = "tanh"


class OptimizerType(Enum):
    adamw = "adamw"
    adam = "adam"
    sgd = "sgd"


class Schedule(Enum):
    constant = "constant"
    one_cycle = "one_cycle"
    warmup_cosine = "warmup_cosine"
    tri_stage = "tri_stage"


class TextUnit(Enum):
    character = "character"  # Unicode characters; for Korean these are whole syllables
    jamo = "jamo"  # Hangul syllables are split into their letters


class UnknownCharacters(Enum):
    refuse = "refuse"  # the utterance is a bad row
    drop = "drop"  # the character is left out, counted and reported


class ErrorMetric(Enum):
    wer = "wer"
    cer = "cer"


class Precision(Enum):
    auto = "auto"  # bfloat16 on GPUs, float32 elsewhere
    float32 = "float32"
    bfloat16 = "bfloat16"


class BadRows(Enum):
    refuse = "refuse"  # report all of them and start nothing
    drop = "drop"  # leave them out, counted and reported


class ProbeAudio(Enum):
    near = "near"  # open what costs no request, local files and bytes, and else as missing
    missing = "missing"  # open only files whose duration the manifest does not give
    all = "all"  # open every header
    none = "none"  # trust the manifest; a bad file then shows up when it is decoded


class CorpusFormat(Enum):
    auto = "auto"  # told by the names of the files; refused where they fit several formats or none
    manifest = "manifest"  # a table of utterances or of users: .csv, .jsonl or .parquet
    kospeech = "kospeech"  # transcripts.txt with `path<TAB>text<TAB>ids`
    librispeech = "librispeech"  # <speaker>-<chapter>.trans.txt beside flac files
    common_voice = "common_voice"  # a .tsv with client_id, path and sentence, beside clips/
    folder = "folder"  # a .txt beside each audio file, or in a folder txt/; the first folder names the speaker


class PackBy(Enum):
    user = "user"  # one file per user, for adapters
    shard = "shard"  # files of about the same size, for training a base


def require(condition: bool, field_name: str, value: object, allowed: str) -> None:
    """Raise a ConfigError that names the field, its value and what is allowed."""
    if not condition:
        raise ConfigError(f"{field_name}={value!r} is not possible: {allowed}")


def to_plain(config: Any) -> dict[str, Any]:
    """A config dataclass as JSON-ready values: enums by their value."""

    def plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value.value if isinstance(value, Enum) else value for name, value in pairs}

    return asdict(config, dict_factory=plain)


def from_plain(config_class: type[T], values: dict[str, Any]) -> T:
    """The inverse of `to_plain` for a dataclass without nested ones. Unknown names raise TypeError."""
    types = {f.name: f.type for f in fields(config_class)}  # type: ignore[arg-type]
    converted = {
        name: types[name](value) if isinstance(types.get(name), type) and issubclass(types[name], Enum) else value  # type: ignore[arg-type,operator]
        for name, value in values.items()
    }
    return config_class(**converted)


@dataclass(kw_only=True)
class AudioConfig:
    """How sound becomes features. Part of the base's fingerprint: training and recognition share it."""

    sample_rate_hz: int = 16000  # waveforms are resampled to this rate
    num_mels: int = 80  # log-mel channels: the model's input_dim
    window_s: float = 0.025  # length of one analysis window
    hop_s: float = 0.010  # distance between windows: one feature frame
    normalise: bool = True  # zero mean and unit variance per utterance and mel channel

    def __post_init__(self) -> None:
        require(self.sample_rate_hz >= 4000, "audio.sample_rate_hz", self.sample_rate_hz, "at least 4000")
        require(1 <= self.num_mels <= 512, "audio.num_mels", self.num_mels, "1 to 512")
        require(0 < self.hop_s <= self.window_s, "audio.hop_s", self.hop_s, "above 0 and at most audio.window_s")


@dataclass(kw_only=True)
class TextConfig:
    """How transcripts become tokens. Stored with the vocabulary."""

    unit: TextUnit = TextUnit.character  # what one token is
    lower_case: bool = True  # fold case
    strip_punctuation: bool = True  # leave punctuation out, but for apostrophes inside words


@dataclass(kw_only=True)
class ModelConfig:
    """The shape of a DeepSpeech2. Part of the base's fingerprint."""

    conv_channels: int = 32  # channels of both convolutions
    rnn_type: RnnType = RnnType.gru  # the recurrent cell
    num_rnn_layers: int = 3  # recurrent layers
    rnn_hidden_dim: int = 512  # width of one direction
    bidirectional: bool = True  # read the utterance in both directions
    dropout: float = 0.1  # after each recurrent layer, while the base trains

    def __post_init__(self) -> None:
        for name in ("conv_channels", "num_rnn_layers", "rnn_hidden_dim"):
            require(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "at least 1")
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "0 up to, but not including, 1")


@dataclass(kw_only=True)
class AdapterConfig:
    """The shape of a user's adapter."""

    hidden_dims: list[int] = field(default_factory=lambda: [256])  # widths of one to three hidden layers
    activation: Activation = Activation.relu  # between the linear layers
    dropout: float = 0.1  # after each activation, in training
    after_layer: int = 0  # after which recurrent layer (1 = the first); 0 before the first, -1 the last: far faster

    def __post_init__(self) -> None:
        dims = self.hidden_dims
        require(
            1 <= len(dims) <= 3 and min(dims) >= 1, "adapter.hidden_dims", dims, "one to three widths of at least 1"
        )
        require(0 <= self.dropout < 1, "adapter.dropout", self.dropout, "0 up to, but not including, 1")
        require(self.after_layer >= LAST_LAYER, "adapter.after_layer", self.after_layer, "-1 (last), 0, 1, 2, …")


@dataclass(kw_only=True)
class DataConfig:
    """Which utterances are usable, and what happens to the others."""

    min_duration_s: float = 0.1  # shorter audio is bad
    max_duration_s: float = 30.0  # longer audio is bad
    unknown_characters: UnknownCharacters = UnknownCharacters.refuse  # characters that the vocabulary lacks
    bad_rows: BadRows = BadRows.refuse  # table rows that cannot be read: missing or malformed cells, duplicate ids
    bad_audio: BadRows = BadRows.drop  # utterances whose audio or transcript cannot be used
    probe_audio: ProbeAudio = ProbeAudio.near  # which audio headers are opened before the run

    def __post_init__(self) -> None:
        allowed = "above data.min_duration_s, which is at least 0"
        require(0 <= self.min_duration_s < self.max_duration_s, "data.max_duration_s", self.max_duration_s, allowed)


@dataclass(kw_only=True)
class AugmentConfig:
    """Changes to the training audio, never to what is recognised."""

    num_time_masks: int = 2  # SpecAugment: masked stretches of time
    max_time_mask_frames: int = 20  # longest of them, in feature frames
    num_mel_masks: int = 2  # SpecAugment: masked bands of mel channels
    max_mel_mask_channels: int = 8  # widest of them
    speeds: list[float] = field(default_factory=lambda: [1.0])  # speed perturbation: one factor is drawn per utterance
    noise_dir: str = ""  # URI of a folder of audio that is mixed into the speech; empty: none
    noise_share: float = 0.5  # share of the utterances that it is mixed into
    noise_snr_db: list[float] = field(default_factory=lambda: [5.0, 20.0])  # lowest and highest speech-to-noise ratio

    def __post_init__(self) -> None:
        for name in ("num_time_masks", "max_time_mask_frames", "num_mel_masks", "max_mel_mask_channels"):
            require(getattr(self, name) >= 0, f"train.augment.{name}", getattr(self, name), "at least 0")
        ok = bool(self.speeds) and all(0.5 <= s <= 2.0 for s in self.speeds)
        require(ok, "train.augment.speeds", self.speeds, "one or more factors between 0.5 and 2")
        require(0 <= self.noise_share <= 1, "train.augment.noise_share", self.noise_share, "0 to 1")
        snr = self.noise_snr_db
        require(len(snr) == 2 and snr[0] <= snr[1], "train.augment.noise_snr_db", snr, "[lowest, highest]")


@dataclass(kw_only=True)
class TrainConfig:
    """Training of a base: from scratch, fine-tuning, or (base_model_path) one user's adapter."""

    manifest: str = ""  # URI of the training manifest (CSV, JSONL or Parquet) …
    valid_manifest: str = ""  # … and of the validation manifest; without it valid_fraction is held out
    dataset_path: str = ""  # KoSpeech format: the folder that the audio paths start from …
    transcripts_path: str = ""  # … the table `path<TAB>text<TAB>ids` …
    vocab_path: str = ""  # … and `id,char,freq`, for manifests too; empty: *vocab*.csv beside the texts, else from them
    valid_fraction: float = 0.1  # share of utterances held out where no validation manifest is given
    pretrained_model_path: str = ""  # fine-tune all weights of this model.pt
    base_model_path: str = ""  # train one adapter on this frozen model.pt
    adapter_name: str = ""  # the user whose adapter is trained
    adapter_save_dir: str = "./adapters"  # receives <adapter_name>_adapter.pt
    output_dir: str = "./outputs"  # receives model.pt, checkpoints and TensorBoard files
    resume: bool = True  # go on from the newest checkpoint in output_dir, if there is one of the same settings
    num_epochs: int = 20  # passes over the training data
    batch_size: int = 16  # utterances per batch and worker
    batch_s: float = 0.0  # seconds of padded audio per batch and worker, instead of batch_size; 0: batch_size counts
    accumulate_steps: int = 1  # batches per worker whose gradients make one step
    sorta_grad: bool = False  # the first epoch goes from short utterances to long ones
    precision: Precision = Precision.auto  # of convolutions and the output layer in training; all else is float32
    optimizer: OptimizerType = OptimizerType.adamw  # what updates the weights
    learning_rate: float = 1e-3  # the highest that the schedule reaches
    schedule: Schedule = Schedule.one_cycle  # how the learning rate goes over all steps
    warmup_fraction: float = 0.1  # share of all steps in which the rate rises
    hold_fraction: float = 0.4  # share of all steps in which tri_stage keeps the highest rate
    weight_decay: float = 1e-5  # decoupled with adamw, else L2
    max_grad_norm: float = 5.0  # gradients are clipped to this norm
    ema_decay: float = 0.0  # weights are averaged over steps with this decay, and the average is what counts; 0: off
    metric: ErrorMetric = ErrorMetric.wer  # validation error by which epochs are compared; reported first
    patience_epochs: int = 0  # stop after so many epochs without a better one, and publish the best; 0: off
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loader_threads: int = 4  # threads per worker that read and decode audio
    checkpoint_every_epochs: int = 1  # epochs between two checkpoints …
    checkpoint_every_s: float = 600.0  # … and seconds between two within an epoch; 0: only at the ends of epochs
    keep_checkpoints: int = 2  # newest checkpoints that are kept, beside the best and those of other settings
    max_bad_steps: int = 20  # steps in a row without a finite loss, after which training stops
    log_every_s: float = 30.0  # seconds between two lines of progress
    seed: int = 0  # weights, data order, dropout and augmentation

    def __post_init__(self) -> None:
        for name in (
            *("num_epochs", "batch_size", "accumulate_steps", "loader_threads", "checkpoint_every_epochs"),
            *("keep_checkpoints", "max_bad_steps"),
        ):
            require(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "at least 1")
        for name in ("batch_s", "patience_epochs", "checkpoint_every_s", "log_every_s"):
            require(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "at least 0")
        require(0 <= self.ema_decay < 1, "train.ema_decay", self.ema_decay, "0 (off) up to, but not including, 1")
        allowed = "0 up to 1, less train.warmup_fraction"
        ok = self.hold_fraction >= 0 and self.warmup_fraction + self.hold_fraction <= 1
        require(ok or self.schedule is not Schedule.tri_stage, "train.hold_fraction", self.hold_fraction, allowed)
        require(self.learning_rate > 0, "train.learning_rate", self.learning_rate, "above 0")
        require(self.weight_decay >= 0, "train.weight_decay", self.weight_decay, "at least 0")
        require(self.max_grad_norm > 0, "train.max_grad_norm", self.max_grad_norm, "above 0")
        require(0 < self.valid_fraction < 1, "train.valid_fraction", self.valid_fraction, "between 0 and 1")
        require(0 <= self.warmup_fraction < 1, "train.warmup_fraction", self.warmup_fraction, "0 up to 1")
        allowed = "give it to fine-tune, or train.base_model_path to train an adapter, not both"
        both = bool(self.pretrained_model_path and self.base_model_path)
        require(not both, "train.pretrained_model_path", self.pretrained_model_path, allowed)
        named = bool(self.adapter_name or not self.base_model_path)
        require(named, "train.adapter_name", self.adapter_name, "with train.base_model_path, name the adapter's user")


@dataclass(kw_only=True)
class AdaptConfig:
    """Training of many users' adapters against one frozen base."""

    num_epochs: int = 20  # passes over a user's speech at most
    batch_size: int = 8  # utterances per step and user
    learning_rate: float = 4e-3  # the highest of a one-cycle schedule
    weight_decay: float = 1e-4  # of AdamW
    max_grad_norm: float = 5.0  # each user's gradients are clipped to this norm
    patience_epochs: int = 10  # a user stops after this many epochs without a better held-out loss
    held_out_fraction: float = 0.2  # share of a user's utterances that only early stopping and the gate see
    gate_metric: ErrorMetric = ErrorMetric.wer  # held-out error that must not rise for an adapter to be published
    min_utterances: int = 4  # a user with fewer is skipped (skipped_no_data)
    cross_validate_below: int = 16  # users with fewer utterances train on all of them, judged by cross-validation …
    num_folds: int = 4  # … in this many parts
    kl_weight: float = 0.0  # pull towards the base's own posteriors, per frame; 0: none
    encode_batch_s: float = 0.0  # seconds of padded audio per call of the frozen trunk; 0: 60 on CPUs, more on GPUs
    precision: Precision = Precision.auto  # of the trunk, of stored encodings and of the adapters' products
    max_cohort_users: int = 0  # users trained in one trial, at most; 0: 64 on CPUs, 512 on GPUs …
    max_cohort_s: float = 0.0  # … and seconds of their speech; 0: what memory has room for, on CPUs 7200 at most
    gpus_per_trial: float = 0.25  # share of a GPU per trial, where the cluster has GPUs
    cpus_per_trial: float = 1.0  # CPUs per trial
    max_concurrent_trials: int = 0  # 0: as many as the cluster's CPUs and GPUs allow
    max_failed_ratio: float = 0.01  # more failed users than this share end the run with exit code 3
    max_attempts: int = 3  # attempts at a cohort whose workers die, in a row and without any user done
    force: bool = False  # train unchanged users, too
    seed: int = 0  # with the user's id it seeds the adapter, its data order and dropout

    def __post_init__(self) -> None:
        for name in ("num_epochs", "batch_size", "patience_epochs", "max_attempts"):
            require(getattr(self, name) >= 1, f"adapt.{name}", getattr(self, name), "at least 1")
        require(self.min_utterances >= 2, "adapt.min_utterances", self.min_utterances, "at least 2: one is held out")
        require(self.learning_rate > 0, "adapt.learning_rate", self.learning_rate, "above 0")
        require(0 < self.held_out_fraction < 1, "adapt.held_out_fraction", self.held_out_fraction, "between 0 and 1")
        require(self.gpus_per_trial > 0, "adapt.gpus_per_trial", self.gpus_per_trial, "above 0")
        require(self.cpus_per_trial > 0, "adapt.cpus_per_trial", self.cpus_per_trial, "above 0")
        require(self.weight_decay >= 0, "adapt.weight_decay", self.weight_decay, "at least 0")
        require(self.max_grad_norm > 0, "adapt.max_grad_norm", self.max_grad_norm, "above 0")
        for name in ("max_cohort_users", "max_cohort_s"):
            require(getattr(self, name) >= 0, f"adapt.{name}", getattr(self, name), "0 (by the cluster) or more")
        trials = self.max_concurrent_trials
        require(trials >= 0, "adapt.max_concurrent_trials", trials, "0 (as many as fit) or more")
        require(0 <= self.max_failed_ratio <= 1, "adapt.max_failed_ratio", self.max_failed_ratio, "0 to 1")
        require(self.encode_batch_s >= 0, "adapt.encode_batch_s", self.encode_batch_s, "0 (by the device) or more")
        require(self.num_folds >= 2, "adapt.num_folds", self.num_folds, "at least 2")
        require(self.kl_weight >= 0, "adapt.kl_weight", self.kl_weight, "at least 0")


@dataclass(kw_only=True)
class SweepConfig:
    """A search over adapter shapes on a few users."""

    hidden_dims: list[list[int]] = field(default_factory=lambda: [[32], [128], [512], [512, 256]])  # shapes to try
    learning_rates: list[float] = field(default_factory=list)  # empty: only adapt.learning_rate
    dropouts: list[float] = field(default_factory=list)  # empty: only adapter.dropout
    activations: list[Activation] = field(default_factory=list)  # empty: only adapter.activation
    num_users: int = 4  # users of the table that the sweep looks at, drawn by adapt.seed
    output_dir: str = "./outputs/sweep"  # receives sweep.csv and sweep.png

    def __post_init__(self) -> None:
        require(self.num_users >= 1, "sweep.num_users", self.num_users, "at least 1")
        require(bool(self.hidden_dims), "sweep.hidden_dims", self.hidden_dims, "one or more shapes, as [[64],[256]]")


@dataclass(kw_only=True)
class PrepareConfig:
    """How a corpus is read and packed into Parquet files that hold the audio's bytes."""

    format: CorpusFormat = CorpusFormat.auto  # what the corpus looks like
    by: PackBy = PackBy.user  # one file per user, or shards
    user_id: str = ""  # whose speech it is, where the corpus names no speaker
    audio_root: str = ""  # KoSpeech: the folder that audio paths start from; empty: that of transcripts.txt
    vocab_path: str = ""  # KoSpeech: `id,char,freq`; empty: a *vocab*.csv beside the transcripts, if there is one
    decode_audio: bool = False  # decode each audio to its end, not only its header: finds broken flac and mp3
    shard_mb: float = 128.0  # megabytes of audio in a shard, about
    threads: int = 16  # audio files that are being read at once, and packs that are being made
    memory_mb: float = 2048.0  # memory for the packs that are being made, about; one larger than that is made alone

    def __post_init__(self) -> None:
        require(self.shard_mb > 0, "prepare.shard_mb", self.shard_mb, "above 0")
        require(self.threads >= 1, "prepare.threads", self.threads, "at least 1")
        require(self.memory_mb > 0, "prepare.memory_mb", self.memory_mb, "above 0")


@dataclass(kw_only=True)
class StorageConfig:
    """Where bases, adapters, runs and the index live."""

    root: str = "./store"  # any fsspec URI: a folder, s3://bucket/prefix, memory://…
    endpoint_url: str = ""  # S3-compatible server; empty: the provider's own (or AWS_ENDPOINT_URL)


@dataclass(kw_only=True)
class ClusterConfig:
    """How to reach Ray, and how much of it base training takes."""

    address: str = ""  # Ray's address; empty: RAY_ADDRESS, a running local cluster, else a new one on this machine
    num_workers: int = 1  # processes that train the base; 0 trains inside this process, without Ray
    min_workers: int = 0  # begin and go on with as few, where the cluster has no room for all; 0: wait for all
    gpus_per_worker: float = 1.0  # GPUs per process that trains the base, where the cluster has GPUs
    cpus_per_worker: float = 1.0  # CPUs per process that trains the base
    max_failures: int = 3  # times that a failed worker group is started again

    def __post_init__(self) -> None:
        require(self.num_workers >= 0, "cluster.num_workers", self.num_workers, "0 (in this process) or more")
        at_most = 0 <= self.min_workers <= self.num_workers
        require(at_most, "cluster.min_workers", self.min_workers, "0 (off) up to cluster.num_workers")
        require(self.gpus_per_worker >= 0, "cluster.gpus_per_worker", self.gpus_per_worker, "at least 0")
        require(self.cpus_per_worker > 0, "cluster.cpus_per_worker", self.cpus_per_worker, "above 0")
        require(self.max_failures >= 0, "cluster.max_failures", self.max_failures, "0 or more")


@dataclass(kw_only=True)
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
    dry_run: bool = False  # validate the data and print the plan; start nothing


@dataclass(kw_only=True)
class AdaptJob:
    """jobs/adapt_users.py"""

    users: str = ""  # URI of a table `user_id,manifest`, or of one manifest with a user_id column
    base: str = ""  # base id in storage.root, or URI of a base folder or model.pt; empty: the newest of storage.root
    run_id: str = ""  # name of this run in storage.root/runs; empty: the time and a random part
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    dry_run: bool = False  # print the plan; start no Ray and write nothing


@dataclass(kw_only=True)
class SweepJob:
    """jobs/sweep_adapters.py"""

    users: str = ""  # as for jobs/adapt_users.py
    base: str = ""  # as for jobs/adapt_users.py
    sweep: SweepConfig = field(default_factory=SweepConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    dry_run: bool = False  # print the trials; start no Ray


@dataclass(kw_only=True)
class TranscribeJob:
    """jobs/transcribe.py"""

    audio: list[str] = field(default_factory=list)  # audio files to recognise …
    manifest: str = ""  # … or a manifest; transcripts in it are compared with what is recognised
    user: str = ""  # whose adapter to use; empty: the manifest's own user_id, else the base alone
    base: str = ""  # as for jobs/adapt_users.py
    output: str = ""  # URI that receives the hypotheses, .jsonl, .csv or .parquet; empty: the terminal
    batch_s: float = 60.0  # seconds of padded audio per batch
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)


@dataclass(kw_only=True)
class PrepareJob:
    """jobs/prepare.py"""

    source: str = ""  # URI of a corpus: a folder, a manifest, a table `user_id,manifest`, transcripts.txt or a .tsv
    output: str = ""  # URI of the folder that receives the packed files, their table and dropped.csv
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    dry_run: bool = False  # read and check the corpus and print the plan; write nothing


@dataclass(kw_only=True)
class DemoJob:
    """jobs/demo.py"""

    output_dir: str = "./demo-data"  # receives the corpus, the store and the outputs
    seed: int = 0  # of the corpus
    num_train_sentences: int = 400  # spoken by the base's ordinary voices
    num_user_sentences: int = 40  # per user, for adaptation
    num_test_sentences: int = 25  # per user, seen by no training and no gate
    model: ModelConfig = field(default_factory=ModelConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
