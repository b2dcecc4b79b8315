import pytest
import torch

from ds2ray.errors import ConfigError
from ds2ray.model.devices import assigned_device, is_device_lost


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (torch.AcceleratorError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA`"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if …"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), False),
        (torch.AcceleratorError("CUDA error: invalid argument"), False),
        (RuntimeError("shape '[3]' is invalid for input of size 4"), False),
        (ValueError("CUDA error: of another kind"), False),
    ],
)
def test_which_errors_leave_a_device_of_no_use(error: Exception, lost: bool) -> None:
    assert is_device_lost(error) is lost


def test_work_without_a_gpu_is_done_on_the_cpu() -> None:
    assert assigned_device(0.0) == torch.device("cpu")


def test_a_gpu_that_is_assigned_and_not_seen_is_an_error_and_no_slow_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"assigned 0\.25 GPUs .* sees none: update the node's NVIDIA driver"):
        assigned_device(0.25)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert assigned_device(0.25) == torch.device("cuda")
