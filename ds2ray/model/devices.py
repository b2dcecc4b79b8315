"""The device of a worker, and errors after which no program in the same process can use it any more."""

import re

import torch

from ds2ray.errors import ConfigError

_OF_A_DEVICE = re.compile(
    r"CUDA error|CUDA driver error|HIP error|CUDNN_STATUS|CUBLAS_STATUS|NCCL error", re.IGNORECASE
)
_OF_ONE_CALL = re.compile(
    r"out of memory|ALLOC_FAILED|invalid argument|invalid configuration argument|no kernel image|NOT_SUPPORTED",
    re.IGNORECASE,
)


def assigned_device(gpus: float) -> torch.device:
    """The device of a worker to which this share of GPUs was assigned: a GPU, or with none of them the CPU.

    Raises:
        ConfigError: a GPU was assigned that this process cannot see. Training on the CPU in its place would take days.
    """
    if gpus <= 0:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    raise ConfigError(
        f"Ray has assigned {gpus:g} GPUs to this worker, and torch {torch.__version__}, which is made for CUDA "
        f"{torch.version.cuda or '(none)'}, sees none: update the node's NVIDIA driver, leave CUDA_VISIBLE_DEVICES to "
        "Ray, or use CPUs, with gpus_per_trial=0, gpus_per_worker=0"
    )


def is_device_lost(error: BaseException) -> bool:
    """Whether an error of torch says that the device is lost to this process: every later call would fail, too.

    CUDA tells such an error ("sticky") in many words: an assertion on the device, an illegal address, a launch that
    failed, a device that fell off the bus. Only those of a single call leave the device as it was: too little memory,
    and arguments that the call refuses.
    """
    if not isinstance(error, RuntimeError):
        return False
    return bool(_OF_A_DEVICE.search(str(error))) and not _OF_ONE_CALL.search(str(error))
