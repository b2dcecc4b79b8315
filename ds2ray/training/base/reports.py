"""Reports of base training: progress every `train.log_every_s` seconds, and a report after every epoch."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields

from ds2ray.config import ErrorMetric
from ds2ray.progress import duration_text

log = logging.getLogger(__name__)


@dataclass
class StepSums:
    """Sums over steps and over all ranks. The order of the fields is that of the values of `of`."""

    loss: float = 0.0  # of the utterances of steps with a finite gradient
    utterances: float = 0.0  # of those steps
    samples: float = 0.0  # of all steps
    padded_samples: float = 0.0
    unreadable: float = 0.0  # utterances whose audio could not be decoded
    seconds: float = 0.0  # that the steps took, mean of all ranks
    wait_s: float = 0.0  # of which they waited for data

    @classmethod
    def of(cls, values: Sequence[float]) -> "StepSums":
        """From the values of the fields."""
        return cls(**dict(zip((field.name for field in fields(cls)), values, strict=True)))

    def __iadd__(self, other: "StepSums") -> "StepSums":
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self

    def mean_loss(self) -> float:
        """Per utterance; NaN where no step had a finite gradient."""
        return self.loss / self.utterances if self.utterances else math.nan

    def padding_share(self) -> float:
        """Of the padded audio."""
        return 1 - self.samples / self.padded_samples if self.padded_samples else 0.0


@dataclass(frozen=True)
class EpochReport:
    """The report of one epoch, over all ranks."""

    epoch: int  # counted from 1
    num_epochs: int
    train_loss: float  # mean CTC loss per token and utterance, of the steps with a finite gradient
    valid_loss: float
    wer: float
    cer: float
    learning_rate: float
    speech_s: float  # audio trained on
    seconds: float
    padding_share: float  # of the padded audio
    bad_steps: int  # without a finite gradient, so far
    unreadable: int  # utterances whose audio could not be decoded, in this epoch

    def line(self, metric: ErrorMetric = ErrorMetric.wer) -> str:
        """The report as a line for a log; of WER and CER, `metric` comes first."""
        extra = f" · {self.bad_steps} bad steps" if self.bad_steps else ""
        extra += f" · {self.unreadable} unreadable" if self.unreadable else ""
        errors = [f"WER {self.wer:.1%}", f"CER {self.cer:.1%}"]
        if metric is ErrorMetric.cer:
            errors.reverse()
        return (
            f"epoch {self.epoch}/{self.num_epochs} · loss {self.train_loss:.3f} · valid {self.valid_loss:.3f} · "
            f"{' · '.join(errors)} · {self.speech_s / max(self.seconds, 1e-9):.0f} h of speech per hour · "
            f"padding {self.padding_share:.1%}{extra}"
        )

    def metrics(self) -> dict[str, float]:
        """The fields by name, but for those that are not finite, such as the loss of an epoch without a good step."""
        return {name: value for name, value in asdict(self).items() if math.isfinite(value)}

    def error(self, metric: ErrorMetric) -> list[float]:
        """The error by which epochs are compared, from left to right: the error rate, then the validation loss."""
        rate = self.wer if metric is ErrorMetric.wer else self.cer
        return [value if math.isfinite(value) else math.inf for value in (rate, self.valid_loss)]


@dataclass(frozen=True)
class Progress:
    """The progress of a training, over the steps since the last one that was told."""

    step: int  # of the run
    epoch: int  # counted from 1
    num_epochs: int
    step_of_epoch: int  # steps that are done
    steps_of_epoch: int
    loss: float
    learning_rate: float
    speech_per_time: float  # hours of audio per hour
    padding_share: float
    data_wait_share: float  # of the time
    step_s: float
    eta_s: float  # until the last epoch, without validation
    bad_steps: int  # so far
    gradient_norm: float = math.nan  # of the last step, before it is clipped

    def phase(self) -> str:
        """`epoch 3/50`."""
        return f"epoch {self.epoch}/{self.num_epochs}"

    def facts(self) -> list[str]:
        """`step 1210/4000`, `loss 1.234`, …"""
        facts = [
            f"step {self.step_of_epoch}/{self.steps_of_epoch}",
            f"loss {self.loss:.3f}",
            f"{self.speech_per_time:.0f} h of speech per hour",
            f"padding {self.padding_share:.1%}",
            f"waiting for data {self.data_wait_share:.1%}",
            f"{self.step_s:.3g} s per step",
            f"eta {duration_text(self.eta_s)}",
        ]
        return facts + ([f"{self.bad_steps} bad steps"] if self.bad_steps else [])

    def share(self) -> float:
        """Of all steps that are done, 0 to 1."""
        return (self.epoch - 1 + self.step_of_epoch / self.steps_of_epoch) / self.num_epochs

    def line(self) -> str:
        """The progress as a line for a log."""
        return " · ".join([self.phase(), *self.facts()])

    def metrics(self) -> dict[str, float]:
        """The values for curves, by name, but for those that are not finite."""
        names: tuple[str, ...] = ("loss", "learning_rate", "gradient_norm", "speech_per_time", "padding_share")
        names += ("data_wait_share", "step_s", "bad_steps")
        values = {name: float(getattr(self, name)) for name in names}
        return {name: value for name, value in values.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Observer:
    """The observer of a training: functions that are told its progress, and one that may stop it.

    Attributes:
        epoch: called after each epoch, on every rank, with the same values; once, with the last epoch's, where the
            training was complete already.
        progress: called on rank 0 every `train.log_every_s` seconds, with the steps since.
        now: called on rank 0 every `now_every_s` seconds, likewise; by default never.
        doing: called on rank 0 with a phase when work other than steps begins.
        say: called on rank 0 with lines for people: where training goes on, which checkpoint is damaged.
        stopped: asked on every rank after each step. When any rank's says yes, the state is saved and training ends.
        published: called at the end, on every rank, with the report of the epoch whose base is published.
    """

    epoch: Callable[[EpochReport], None] = lambda report: None
    progress: Callable[[Progress], None] = lambda progress: None
    now: Callable[[Progress], None] = lambda progress: None
    now_every_s: float = math.inf
    doing: Callable[[str], None] = lambda phase: None
    say: Callable[[str], None] = log.warning
    stopped: Callable[[], bool] = lambda: False
    published: Callable[[EpochReport], None] = lambda report: None


@dataclass
class Window:
    """The steps since the last progress that was told, which is told every `every_s` seconds."""

    every_s: float
    tell: Callable[[Progress], None]
    sums: StepSums = field(default_factory=StepSums)
    num_steps: int = 0
    since_s: float = 0.0
