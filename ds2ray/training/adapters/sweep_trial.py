"""A trial of a sweep: one adapter, trained for every user of a sample, on speech that is encoded already."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from ds2ray.errors import DeviceLostError
from ds2ray.fleet.sweep.points import SweepPoint
from ds2ray.fleet.sweep.results import TrialResult, UserResult
from ds2ray.metrics import Score
from ds2ray.model.devices import is_device_lost
from ds2ray.model.weights import Base
from ds2ray.store.keys import is_private
from ds2ray.training.adapters.judging.held_out import evaluate_adapter
from ds2ray.training.adapters.judging.results import AdapterFit, Evaluation
from ds2ray.training.adapters.speech import UserSpeech
from ds2ray.training.adapters.stack.learners import fresh_adapter
from ds2ray.training.adapters.stack.stacked import StackedTraining, stacks

log = logging.getLogger(__name__)


def try_point(
    base: Base, speeches: Sequence[UserSpeech], point: SweepPoint, trial_id: str, device: torch.device
) -> TrialResult:
    """Train and judge an adapter for each user; one who cannot be trained is a result like any other.

    Users share steps where that is faster on the device, as in a cohort: each one's adapter is that which a run with
    these settings trains.

    Raises:
        DeviceLostError: the device failed, so that no trial in this process can use it any more.
    """
    started_s = time.perf_counter()
    base.model.to(device)
    # a stack writes to its users' lists of frames, which the next trial of this process reads again
    own = [replace(speech, frames=[*speech.frames]) for speech in speeches]
    users = [
        _user_result(base, speech, point, fit, device)
        for stack in stacks(base.model, own, device, point.adapt.batch_size)
        for speech, fit in zip(stack, _fits(base, stack, point, device), strict=True)
    ]
    like = fresh_adapter(base.model, point.adapter, 0, device)
    num_parameters = sum(tensor.numel() for tensor in like.state_dict().values())
    return TrialResult.of(trial_id, point.settings(), num_parameters, time.perf_counter() - started_s, users)


def _fits(base: Base, stack: Sequence[UserSpeech], point: SweepPoint, device: torch.device) -> list[AdapterFit | str]:
    """Each user's adapter, or why there is none; where a stack breaks, its users are trained one by one."""
    place = point.adapter.after_layer
    fits: dict[int, AdapterFit | str] = {}
    try:
        adapters = [fresh_adapter(base.model, point.adapter, speech.seed, device) for speech in stack]
        training = StackedTraining(base.model, adapters, stack, base.vocabulary, point.adapt, place)
        fits.update(training.run())
    except Exception as error:
        if is_device_lost(error):
            raise _lost(error) from error
        if len(stack) == 1:
            # a text of torch's may hold anything, a transcript, too
            return [type(error).__name__ if is_private() else f"{type(error).__name__}: {error}".partition("\n")[0]]
        log.warning("a stack of %d users broke off (%s); they are trained one by one", len(stack), type(error).__name__)
    return [fits[user] if user in fits else _fits(base, [stack[user]], point, device)[0] for user in range(len(stack))]


def _user_result(
    base: Base, speech: UserSpeech, point: SweepPoint, fit: AdapterFit | str, device: torch.device
) -> UserResult:
    if isinstance(fit, AdapterFit):
        before, after = Evaluation(fit.loss_before, fit.score_before), Evaluation(fit.loss_after, fit.score_after)
        return _counted(before, after, fit.epochs, "")
    # with a fresh adapter the base is the base alone
    place, fresh = point.adapter.after_layer, fresh_adapter(base.model, point.adapter, speech.seed, device)
    alone = Evaluation(0.0, Score())
    try:
        alone = evaluate_adapter(base.model, fresh, speech, base.vocabulary, point.adapt, place)
    except Exception as error:
        if is_device_lost(error):
            raise _lost(error) from error
        log.warning("a user who could not be trained cannot be judged either (%s)", type(error).__name__)
    return _counted(alone, alone, 0, fit)


def _lost(error: Exception) -> DeviceLostError:
    return DeviceLostError(f"the device is lost: {type(error).__name__}: {error}")


def _counted(before: Evaluation, after: Evaluation, epochs: int, reason: str) -> UserResult:
    return UserResult(
        loss_before=before.loss,
        loss_after=after.loss,
        words=before.score.words.reference_length,
        word_errors_before=before.score.words.errors,
        word_errors_after=after.score.words.errors,
        characters=before.score.characters.reference_length,
        character_errors_before=before.score.characters.errors,
        character_errors_after=after.score.characters.errors,
        epochs=epochs,
        reason=reason,
    )
