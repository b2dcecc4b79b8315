"""Training of many users' adapters."""

import math
from dataclasses import dataclass

from ds2ray.config.fields import Choice, require, setting
from ds2ray.config.train import ErrorMetric, Precision

FURTHER_TIMES = 2
"""Further recordings that each utterance is in."""


class Retry(Choice):
    """The users of the last run who are trained again, and nobody else, whether anything has changed or not."""

    none = "none", "whoever is new or has changed"
    failed = "failed", "those who failed in the last run"
    skipped = "skipped", "those who had too little speech in the last run"
    kept = "kept", "those whose new adapter was not published in the last run"


class Canary(Choice):
    """When a sample of the users is trained before anybody else, and the others only if the sample does no worse."""

    new_base = "new_base", "where the base is another one than that of the run before"
    always = "always", "in every run that trains users again"
    never = "never"


@dataclass(frozen=True, kw_only=True)
class AdaptConfig:
    """Training of many users' adapters against one frozen base."""

    num_epochs: int = setting(8, "passes over a user's speech at most")
    batch_size: int = setting(2, "utterances per step and user")
    learning_rate: float = setting(4e-3, "the highest of a one-cycle schedule")
    weight_decay: float = setting(1e-4, "of AdamW")
    max_grad_norm: float = setting(5.0, "each user's gradients are clipped to this norm")
    patience_epochs: int = setting(10, "a user stops after this many epochs without a better held-out loss")
    held_out_fraction: float = setting(0.2, "share of a user's utterances that only early stopping and the gate see")
    gate_metric: ErrorMetric = setting(
        ErrorMetric.wer, "held-out error that the gate compares: an adapter is published if it does not rise"
    )
    min_utterances: int = setting(4, "a user with fewer is skipped (skipped_no_data)")
    cross_validate_below: int = setting(
        16, "users with fewer utterances train on all of them, judged by cross-validation …"
    )
    num_folds: int = setting(4, "… over this many folds")
    further_share: float = setting(
        0.5,
        "share of the steps on further recordings of the utterances, two in one breath and clipped ones, where layers "
        "with memory follow the adapter",
    )
    unlabelled_share: float = setting(
        0.9, "with data.unlabelled=true, share of the steps on speech without transcripts, at most …"
    )
    unlabelled_confidence: float = setting(
        0.9, "… of which passages are learned from whose words are recognised with this confidence, each of them"
    )
    corrected_weight: float = setting(
        2.0, "weight of utterances whose transcript the user has corrected (column `corrected`); others have 1"
    )
    warm_start: bool = setting(
        True,
        "a user whose speech has grown goes on from the adapter that there is, if it is of this base, kind and shape …",
    )
    warm_epochs: int = setting(1, "… for so many epochs …")
    warm_learning_rate: float = setting(2e-3, "… at this rate at the highest …")
    warm_growth: float = setting(
        0.5, "… where there is more speech than then, and at most so much more: 0.5 is half as many utterances again"
    )
    kl_weight: float = setting(0.0, "pull towards the base's own posteriors, per frame; 0: none")
    anchor_manifest: str = setting(
        "", "ordinary speech that adapters are held to the base on, and judged by; 2.5 minutes of it are used …"
    )
    anchor_weight: float = setting(0.4, "… with a pull towards the base's posteriors of this weight; 0: only judged")
    max_anchor_rise: float = setting(
        math.inf,
        "an adapter through which the error on adapt.anchor_manifest rises by more is not published; 0.05 are 5 points",
        may_be_infinite=True,
    )
    encode_batch_s: float = setting(
        0.0, "seconds of padded audio per call of the frozen trunk; 0: 60 on CPUs, more on GPUs"
    )
    precision: Precision = setting(Precision.auto, "type of the trunk, of encodings and of the adapters' products")
    max_cohort_users: int = setting(0, "users trained in one trial, at most; 0: 64 on CPUs, 512 on GPUs …")
    max_cohort_s: float = setting(
        0.0, "… and seconds of their speech; 0: as many as memory has room for, on CPUs at most 7200"
    )
    gpus_per_trial: float = setting(0.25, "GPUs, or a share of one, per trial, where the cluster has GPUs")
    cpus_per_trial: float = setting(1.0, "CPUs per trial")
    max_concurrent_trials: int = setting(0, "trials at once; 0: as many as the cluster's CPUs and GPUs allow")
    max_failed_ratio: float = setting(0.01, "more failed users than this share end the run with exit code 3")
    stop_after_failures: int = setting(
        20, "the first users of a run, so many, end it where they all fail, and for one cause; 0: never"
    )
    max_unusable_ratio: float = setting(
        0.05,
        "so do more than this share, failed ones included, without usable speech for a cause in the data pipeline, as "
        "audio that cannot be decoded; at least adapt.max_failed_ratio counts",
    )
    retry_unusable_after_h: float = setting(
        0.0,
        "hours after which users without usable speech for such a cause are tried again though nothing has changed; 0: "
        "in every run, as who failed; inf: only with another release or other settings of data",
        may_be_infinite=True,
    )
    max_attempts: int = setting(3, "attempts at a cohort whose worker dies, in a row without any user being done")
    force: bool = setting(False, "train unchanged users, too")
    only: str = setting("", "the users whom the run is about: an id, a pattern as `team-*`, or @ and the URI of a list")
    retry: Retry = setting(Retry.none, "users whom the run is about, by their outcome in the last one")
    max_changed_ratio: float = setting(
        1.0, "a run that would train more than this share of the known users again asks, or ends with exit code 2"
    )
    canary: Canary = setting(
        Canary.new_base, "when a sample of the users who have an adapter is trained before anybody else …"
    )
    canary_users: int = setting(32, "… of so many users at most …")
    canary_min_share: float = setting(
        0.5,
        "… and the others only if this share of them gets an adapter, or errs by the base alone no more than before …",
    )
    canary_max_rise: float = setting(
        0.01,
        "… and their mean held-out error rises by no more than this over that of what they had; 0.01 is a point",
        may_be_infinite=True,
    )
    seed: int = setting(0, "seeds, with the user's key, the adapter, its data order and dropout")
    gate_confidence: float = setting(
        0.6, "probability of improvement on the base from which on an adapter is published; 0: no worse is enough"
    )

    def __post_init__(self) -> None:
        for name in ("num_epochs", "batch_size", "patience_epochs", "max_attempts", "warm_epochs"):
            require(getattr(self, name) >= 1, f"adapt.{name}", getattr(self, name), "at least 1")
        require(self.stop_after_failures >= 0, "adapt.stop_after_failures", self.stop_after_failures, "0 or more")
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
        require(0 <= self.max_unusable_ratio <= 1, "adapt.max_unusable_ratio", self.max_unusable_ratio, "0 to 1")
        require(0 <= self.max_changed_ratio <= 1, "adapt.max_changed_ratio", self.max_changed_ratio, "0 to 1")
        require(self.canary_users >= 1, "adapt.canary_users", self.canary_users, "at least 1; adapt.canary=never: none")
        require(0 <= self.canary_min_share <= 1, "adapt.canary_min_share", self.canary_min_share, "0 to 1")
        require(self.canary_max_rise >= 0, "adapt.canary_max_rise", self.canary_max_rise, "at least 0")
        retry_h = self.retry_unusable_after_h
        require(retry_h >= 0, "adapt.retry_unusable_after_h", retry_h, "0 (in every run) or more")
        require(self.encode_batch_s >= 0, "adapt.encode_batch_s", self.encode_batch_s, "0 (by the device) or more")
        require(self.num_folds >= 2, "adapt.num_folds", self.num_folds, "at least 2")
        require(0 <= self.further_share <= 1, "adapt.further_share", self.further_share, "0 to 1")
        share = self.unlabelled_share
        require(0 <= share < 1, "adapt.unlabelled_share", share, "at least 0, below 1: some speech has transcripts")
        confidence = self.unlabelled_confidence
        require(0 < confidence <= 1, "adapt.unlabelled_confidence", confidence, "above 0, at most 1")
        require(self.corrected_weight > 0, "adapt.corrected_weight", self.corrected_weight, "above 0")
        require(self.warm_learning_rate > 0, "adapt.warm_learning_rate", self.warm_learning_rate, "above 0")
        require(self.warm_growth >= 0, "adapt.warm_growth", self.warm_growth, "at least 0")
        require(self.kl_weight >= 0, "adapt.kl_weight", self.kl_weight, "at least 0")
        require(self.anchor_weight >= 0, "adapt.anchor_weight", self.anchor_weight, "at least 0")
        require(self.max_anchor_rise >= 0, "adapt.max_anchor_rise", self.max_anchor_rise, "at least 0")
        require(0 <= self.gate_confidence < 1, "adapt.gate_confidence", self.gate_confidence, "at least 0, below 1")
