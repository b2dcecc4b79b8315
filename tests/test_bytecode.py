"""The processes of a run of tests or of the demo compile torch and Ray once, whatever the environment says."""

import os
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"
SAID = 'said: ; @echo "bytecode: $${PYTHONDONTWRITEBYTECODE:-kept}"'


@pytest.mark.process
def test_make_has_processes_keep_it() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--silent", f"--file={MAKEFILE}", f"--eval={SAID}", "said"],
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=MAKEFILE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "bytecode: kept\n"
