"""Our errors as Ray wraps them, and the messages that come of them."""

from ray.exceptions import RayTaskError

from ds2ray.cluster.progress import our_error, told
from ds2ray.errors import StorageError

FULL = StorageError("/store/users/ann: cannot write: no space left on device")


def test_an_error_of_ours_comes_back_as_it_was() -> None:
    wrapped = RayTaskError("ray::train()", "a long trace", FULL).as_instanceof_cause()
    assert isinstance(wrapped, StorageError)
    assert our_error(wrapped) is our_error(FULL) is FULL
    assert told(wrapped) == f"StorageError: {FULL}"


def test_the_errors_of_others_are_none_of_ours() -> None:
    assert our_error(RayTaskError("ray::train()", "a long trace", ValueError("no")).as_instanceof_cause()) is None
    assert our_error(None) is None
