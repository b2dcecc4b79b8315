"""A headless browser that opens a page of ours, where this machine has one: `make browser` installs one."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Opened:
    """What a browser made of a page."""

    document: str  # the tree of its elements, written as HTML
    console: str  # what the browser complained of
    pixels: np.ndarray  # [height, width, 3], 0 to 1

    def share_of(self, red: int, green: int, blue: int) -> float:
        """The share of the picture that has this very colour, each part from 0 to 255."""
        wanted = np.array([red, green, blue]) / 255
        return float((np.abs(self.pixels - wanted).max(2) < 1 / 255).mean())


def open_page(page: Path, folder: Path, width: int = 1100, height: int = 4000, *, dark: bool = False) -> Opened:
    """Open a page in a window of so many pixels, in the dark theme or the light one; skips the test where there is no
    browser."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed: `make browser` installs one")
    picture = folder / "page.png"
    command = [
        *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *("--no-first-run", f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"),
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        *("--enable-logging=stderr", f"--screenshot={picture}", "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return Opened(done.stdout, console, matplotlib.image.imread(picture)[..., :3])
