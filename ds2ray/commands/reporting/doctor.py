"""The doctor's examination before a base training: printed, on the page of the data report, and an end of the job."""

from collections.abc import Callable, Sequence

import torch

from ds2ray import display
from ds2ray.errors import InputError
from ds2ray.training.base.checkpoint import has_checkpoint
from ds2ray.training.base.doctor.examination import examine
from ds2ray.training.base.stopping import stop_on_signal
from ds2ray.training.base.task import BaseTask


def ask_doctor(task: BaseTask, write: Callable[[Sequence[str]], None]) -> None:
    """Examine a training and say what is found; one that goes on from a checkpoint has shown whether it learns.

    The examination takes place in this process, on its GPU where it has one.

    Args:
        write: told all lines, for the page.

    Raises:
        InputError: there is a finding, with which the training would learn nothing.
        InterruptedRunError: the job was asked to stop.
    """
    if task.train.resume and has_checkpoint(task.checkpoint_uri, task.fingerprint):
        display.say("doctor: not asked, as the training goes on from a checkpoint")
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with stop_on_signal(lambda: True, display.say) as asked:
        diagnosis = examine(task, device, task.train.doctor_s, tell=display.doing, stopped=asked.is_set)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the training's workers are to have it
    for note in diagnosis.notes:
        display.say(f"doctor: {note}")
    write(diagnosis.lines())
    if diagnosis.findings:
        found = "\n".join(f"  {finding}" for finding in diagnosis.findings)
        raise InputError(
            f"the doctor found why this training would learn nothing, and nothing was trained:\n{found}\n"
            "(train.doctor=false trains all the same)"
        )
