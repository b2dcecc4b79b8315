"""torch's optimizers without its compiler, which they import at their first step: three seconds of each process.

Steps are computed by the same functions of torch, so the results are the same to the last bit.
"""

import inspect

import torch


class SGD(torch.optim.SGD):
    """`torch.optim.SGD` that is never compiled."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class Adam(torch.optim.Adam):
    """`torch.optim.Adam` that is never compiled."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW` that is never compiled."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def _leave_out_of_compilation() -> None:
    """Say that the compiler has left out what the optimizers have in common: torch asks for no more, and imports no
    compiler to do so (torch/_compile.py)."""
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        function = inspect.unwrap(getattr(torch.optim.Optimizer, name))
        vars(function).setdefault("__dynamo_disable", function)


_leave_out_of_compilation()
