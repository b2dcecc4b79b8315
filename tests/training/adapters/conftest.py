from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ds2ray.model.weights import Base


@pytest.fixture
def base(fresh_base: "Callable[[], Base]") -> "Base":
    """A copy of the trained base, to be changed by the test alone."""
    return fresh_base()
