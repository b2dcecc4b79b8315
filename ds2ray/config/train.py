"""Training of a base, and the changes to its audio."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ds2ray.config.fields import Choice, require, setting


class OptimizerType(Enum):
    adamw = "adamw"
    adam = "adam"
    sgd = "sgd"


class Schedule(Enum):
    constant = "constant"
    one_cycle = "one_cycle"
    warmup_cosine = "warmup_cosine"
    tri_stage = "tri_stage"


class ErrorMetric(Enum):
    wer = "wer"
    cer = "cer"


class Tracker(Choice):
    none = "none"
    mlflow = "mlflow", "a run of MLflow's experiment `ds2ray`; needs the extra `mlflow`"
    wandb = "wandb", "a run of Weights & Biases; needs the extra `wandb`"


class Precision(Choice):
    auto = "auto", "bfloat16 on GPUs, float32 elsewhere"
    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Changes to the training audio; speech that is recognised or validated on stays as it is."""

    num_time_masks: int = setting(2, "SpecAugment: masked stretches of time")
    max_time_mask_frames: int = setting(20, "longest masked stretch, in feature frames")
    num_mel_masks: int = setting(2, "SpecAugment: masked bands of mel channels")
    max_mel_mask_channels: int = setting(8, "widest masked band, in mel channels")
    speeds: list[float] = setting([1.0], "speed perturbation: one factor is drawn per utterance")
    pad_share: float = setting(0.5, "share of the batches with silence around their speech …")
    max_pad_s: float = setting(2.5, "… of so many seconds on each side at most")
    join_share: float = setting(0.25, "share of the batches in which two to four utterances run together")
    background_share: float = setting(0.4, "share of the rows with noise from beginning to end …")
    background_snr_db: list[float] = setting([15.0, 60.0], "… with this lowest and highest speech-to-noise ratio")
    gain_db: list[float] = setting([-25.0, 5.0], "lowest and highest gain of a row")
    clip_share: float = setting(0.15, "share of the rows that are clipped …")
    clip_db: list[float] = setting([3.0, 18.0], "… so far below their peak, at least and at most")
    telephone_share: float = setting(0.25, "share of the rows at 8 kHz, or as a telephone has them")
    room_share: float = setting(0.1, "share of the rows with the reverberation of a room …")
    room_s: list[float] = setting([0.1, 0.5], "… for so many seconds until it is 60 dB weaker")
    noise_dir: str = setting("", "URI of a folder of noise that is mixed into the speech; empty: no noise")
    noise_share: float = setting(0.5, "share of the utterances that noise is mixed into")
    noise_snr_db: list[float] = setting([5.0, 20.0], "lowest and highest speech-to-noise ratio")

    def __post_init__(self) -> None:
        for name in ("num_time_masks", "max_time_mask_frames", "num_mel_masks", "max_mel_mask_channels"):
            require(getattr(self, name) >= 0, f"train.augment.{name}", getattr(self, name), "at least 0")
        ok = bool(self.speeds) and all(0.5 <= s <= 2.0 for s in self.speeds)
        require(ok, "train.augment.speeds", self.speeds, "one or more factors between 0.5 and 2")
        for name in _SHARES:
            require(0 <= getattr(self, name) <= 1, f"train.augment.{name}", getattr(self, name), "0 to 1")
        for name in _RANGES:
            value = getattr(self, name)
            require(len(value) == 2 and value[0] <= value[1], f"train.augment.{name}", value, "[lowest, highest]")
        require(self.max_pad_s > 0, "train.augment.max_pad_s", self.max_pad_s, "above 0; pad_share=0 is none")
        require(self.clip_db[0] >= 0, "train.augment.clip_db", self.clip_db, "at least 0")
        require(self.room_s[0] > 0, "train.augment.room_s", self.room_s, "above 0")


AS_IT_IS: dict[str, Any] = {
    **dict.fromkeys(
        ("pad_share", "join_share", "background_share", "clip_share", "telephone_share", "room_share"), 0.0
    ),
    "gain_db": [0.0, 0.0],
}
"""The settings with which speech is trained on as it was recorded."""

DETAILS = {
    "max_pad_s": "pad_share",
    "background_snr_db": "background_share",
    "clip_db": "clip_share",
    "room_s": "room_share",
}
"""Settings that mean nothing where the share of another one is 0."""

_SHARES = (*(name for name in AS_IT_IS if name.endswith("_share")), "noise_share")
_RANGES = ("background_snr_db", "gain_db", "clip_db", "room_s", "noise_snr_db")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Training of a base: from scratch, fine-tuning, or (base_model_path) one user's adapter."""

    manifest: str = setting("", "URI of the training manifest (CSV, JSONL or Parquet) …")
    valid_manifest: str = setting("", "… and of the validation manifest; without it valid_fraction is held out")
    dataset_path: str = setting("", "KoSpeech format: the folder that the audio paths start from …")
    transcripts_path: str = setting("", "… the table `path<TAB>text<TAB>ids` …")
    vocab_path: str = setting(
        "", "… and `id,char,freq`, for manifests too; empty: *vocab*.csv beside the texts, else from them"
    )
    valid_fraction: float = setting(0.1, "share of utterances held out where no validation manifest is given")
    pretrained_model_path: str = setting("", "fine-tune all weights of this model.pt")
    base_model_path: str = setting("", "train one adapter on this frozen model.pt")
    adapter_name: str = setting("", "the user whose adapter is trained")
    adapter_save_dir: str = setting("./adapters", "receives <adapter_name>_adapter.pt")
    output_dir: str = setting("./outputs", "receives model.pt, checkpoints and TensorBoard files")
    data_page: str = setting(
        "", "URI that receives the report on the data; empty: data.html in output_dir, and none in a dry run"
    )
    report_sample: int = setting(200, "utterances that it listens to for silence and bandwidth; 0: none")
    tracker: Tracker = setting(Tracker.none, "where settings and figures are sent, beside TensorBoard's files")
    tracker_uri: str = setting("", "address of MLflow; empty: MLFLOW_TRACKING_URI")
    doctor: bool = setting(
        False, "examine the training before its first step: why its loss would not fall; a finding ends it with code 2"
    )
    doctor_s: float = setting(180.0, "seconds, about, that the examination may take")
    resume: bool = setting(True, "go on from the newest checkpoint in output_dir, if there is one of the same settings")
    num_epochs: int = setting(20, "passes over the training data")
    batch_size: int = setting(16, "utterances per batch and worker")
    batch_s: float = setting(
        0.0, "seconds of padded audio per batch and worker, in place of batch_size; 0: batch_size counts"
    )
    accumulate_steps: int = setting(1, "batches per worker whose gradients make one step")
    sorta_grad: bool = setting(False, "the first epoch goes from short utterances to long ones")
    precision: Precision = setting(
        Precision.auto, "type of convolutions and linear layers in training; all else is float32"
    )
    optimizer: OptimizerType = setting(OptimizerType.adamw, "optimizer of the weights")
    learning_rate: float = setting(1e-3, "the highest that the schedule reaches")
    schedule: Schedule = setting(Schedule.one_cycle, "course of the learning rate over all steps")
    warmup_fraction: float = setting(0.1, "share of all steps in which the rate rises")
    hold_fraction: float = setting(0.4, "share of all steps in which tri_stage keeps the highest rate")
    weight_decay: float = setting(1e-5, "weight decay: decoupled with adamw, else as L2 penalty")
    max_grad_norm: float = setting(5.0, "gradients are clipped to this norm")
    ema_decay: float = setting(
        0.0, "weights are averaged over steps with this decay, and the average is validated and published; 0: off"
    )
    metric: ErrorMetric = setting(ErrorMetric.wer, "validation error by which epochs are compared; reported first")
    patience_epochs: int = setting(0, "stop after so many epochs without a better one, and publish the best; 0: off")
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loader_threads: int = setting(4, "threads per worker that read and decode audio")
    shard_cache_mb: float = setting(
        576.0, "memory per worker for packed audio; with less, parts of shards are read more than once"
    )
    checkpoint_every_epochs: int = setting(1, "epochs between two checkpoints …")
    checkpoint_every_s: float = setting(
        600.0, "… and seconds between two within an epoch; 0: only at the ends of epochs"
    )
    keep_checkpoints: int = setting(2, "newest checkpoints that are kept, beside the best and those of other settings")
    max_bad_steps: int = setting(20, "steps in a row without a finite loss, after which training stops")
    log_every_s: float = setting(30.0, "seconds between two lines of progress")
    seed: int = setting(0, "seeds weights, data order, dropout and augmentation")

    def __post_init__(self) -> None:
        for name in (
            *("num_epochs", "batch_size", "accumulate_steps", "loader_threads", "checkpoint_every_epochs"),
            *("keep_checkpoints", "max_bad_steps"),
        ):
            require(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "at least 1")
        require(self.shard_cache_mb >= 8, "train.shard_cache_mb", self.shard_cache_mb, "at least 8: one row group")
        for name in ("batch_s", "patience_epochs", "checkpoint_every_s", "log_every_s", "report_sample", "doctor_s"):
            require(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "at least 0")
        require(0 <= self.ema_decay < 1, "train.ema_decay", self.ema_decay, "0 (off) up to, but not including, 1")
        open_ = "@" not in self.tracker_uri
        require(open_, "train.tracker_uri", "…@…", "without a password: MLFLOW_TRACKING_USERNAME and _PASSWORD have it")
        needed = not self.tracker_uri or self.tracker is Tracker.mlflow
        require(needed, "train.tracker_uri", self.tracker_uri, "with train.tracker=mlflow alone")
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
