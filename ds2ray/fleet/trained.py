"""A user who has been trained, before the adapter is published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ds2ray.errors import ArtifactCorruptError
from ds2ray.store import Store, publish_adapter
from ds2ray.store.outcomes import Outcome, Status


@dataclass(frozen=True)
class TrainedUser:
    """A user's outcome and, where an adapter passed the gate, what is needed to publish it.

    Attributes:
        outcome: without version and digest.
        weights: of the adapter (safetensors); empty where none is published.
        making: the further arguments of `publish_adapter`.
    """

    outcome: Outcome
    weights: bytes = b""
    making: Mapping[str, Any] = field(default_factory=dict)

    def published(self, store: Store) -> Outcome:
        """Make the adapter the user's current one, if there is one; returns the outcome.

        A damaged pointer fails this user alone.

        Raises:
            InterruptedRunError: the run has lost its lease.
        """
        if not self.weights:
            return self.outcome
        try:
            pointer = publish_adapter(store, self.outcome.user_key, self.weights, **self.making)
        except ArtifactCorruptError as error:
            reason = "; ".join(filter(None, [str(error), self.outcome.reason]))
            return replace(self.outcome, status=Status.failed, reason=reason)
        return replace(self.outcome, version=pointer.version, sha256=pointer.sha256)


def taken_out(held_back: dict[str, TrainedUser], outcomes: Iterable[Outcome]) -> list[TrainedUser]:
    """These users, taken out of those who are held back by key; who is not among them has nothing to publish."""
    return [replace(held_back.pop(outcome.user_key, TrainedUser(outcome)), outcome=outcome) for outcome in outcomes]
