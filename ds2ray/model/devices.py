"""Errors of a device after which no program in the same process can use it any more."""

import re

_OF_A_DEVICE = re.compile(
    r"CUDA error|CUDA driver error|HIP error|CUDNN_STATUS|CUBLAS_STATUS|NCCL error", re.IGNORECASE
)
_OF_ONE_CALL = re.compile(
    r"out of memory|ALLOC_FAILED|invalid argument|invalid configuration argument|no kernel image|NOT_SUPPORTED",
    re.IGNORECASE,
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
