import subprocess
import sys
from importlib import import_module

import pytest

import ds2ray


@pytest.mark.parametrize("name", ds2ray.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(ds2ray, name)
    assert value is getattr(import_module(value.__module__), name)
    assert name in dir(ds2ray)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        ds2ray.Nonsense  # noqa: B018


@pytest.mark.process
def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, ds2ray, ds2ray.config; print(sorted({'torch', 'ray', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
