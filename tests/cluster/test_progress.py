"""The error of ours in what Ray reports."""

import pytest
from ray.exceptions import RayTaskError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from ds2ray.cluster.progress import our_error
from ds2ray.errors import StorageError

OURS = StorageError("the bucket is gone")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OURS,
        caused(RuntimeError("around it"), caused(ValueError("and around that"), OURS)),
        RayTaskError("train", "Traceback …", OURS),
        WorkerGroupError("two failed", {0: RuntimeError("another"), 3: RayTaskError("train", "Traceback …", OURS)}),
        ControllerError(caused(RuntimeError("around it"), OURS)),
    ],
)
def test_it_is_found_however_deep(error: Exception) -> None:
    assert our_error(error) is OURS


@pytest.mark.parametrize("error", [None, ValueError("of a program"), WorkerGroupError("one failed", {0: KeyError()})])
def test_other_errors_are_none_of_ours(error: Exception | None) -> None:
    assert our_error(error) is None
