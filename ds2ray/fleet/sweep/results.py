"""The results of a sweep's trials: errors of every user, without a word on who that is. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ds2ray.config import ErrorMetric

BYTES_EACH = 4
"""Of a parameter, float32."""


@dataclass(frozen=True, kw_only=True)
class UserResult:
    """One user of a trial: losses and counts of errors on held-out speech, of the base and with the adapter.

    A user whose training failed keeps the base, so that the counts after are those before, and `reason` says why. Who
    cannot even be judged has no counts.
    """

    loss_before: float
    loss_after: float
    words: int
    word_errors_before: int
    word_errors_after: int
    characters: int
    character_errors_before: int
    character_errors_after: int
    epochs: int
    reason: str = ""

    def counts(self, metric: ErrorMetric) -> tuple[int, int, int]:
        """Errors before, errors after and what they are out of, in words or characters."""
        if metric is ErrorMetric.wer:
            return self.word_errors_before, self.word_errors_after, self.words
        return self.character_errors_before, self.character_errors_after, self.characters


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """The result of a trial, as it is stored.

    Attributes:
        settings: of the point, by their names, with the epochs of the trial.
        num_parameters: of one user's adapter.
        seconds: of training and judging all users, in one process.
        users: `UserResult` as JSON has them, in the order of the sample.
        reason: why there are none; empty where the trial went through.
    """

    trial_id: str
    settings: dict[str, Any]
    num_parameters: int
    seconds: float
    users: tuple[dict[str, Any], ...]
    reason: str = ""

    @classmethod
    def of(
        cls, trial_id: str, settings: Mapping[str, Any], num_parameters: int, seconds: float, users: list[UserResult]
    ) -> "TrialResult":
        """The result of a trial that went through; with no user who could be trained it is a failed one."""
        failed = [user.reason for user in users if user.reason]
        return cls(
            trial_id=trial_id,
            settings=dict(settings),
            num_parameters=num_parameters,
            seconds=seconds,
            users=tuple(asdict(user) for user in users),
            reason=f"no user could be trained: {failed[0]}" if users and len(failed) == len(users) else "",
        )

    @property
    def of_users(self) -> list[UserResult]:
        """The results of the users, in the order of the sample."""
        return [UserResult(**user) for user in self.users]

    @property
    def size_bytes(self) -> int:
        """The size of one user's adapter."""
        return BYTES_EACH * self.num_parameters

    @property
    def seconds_per_user(self) -> float:
        """Seconds of one process for a user, on the average."""
        return self.seconds / max(1, len(self.users))

    def rates(self, metric: ErrorMetric) -> tuple[float, float]:
        """The errors of all users together, before and after, as fractions."""
        counts = [user.counts(metric) for user in self.of_users]
        total = max(1, sum(of for _, _, of in counts))
        return sum(before for before, _, _ in counts) / total, sum(after for _, after, _ in counts) / total

    @property
    def loss(self) -> float:
        """The mean held-out loss of the users' adapters; of the base, where a user has none."""
        losses = [user.loss_after for user in self.of_users if user.words or user.characters]
        return sum(losses) / max(1, len(losses))
