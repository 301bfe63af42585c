"""Headless Chromium: a screenshot of a page and what the page wrote to the console."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

HINTS = ("Canvas2D: Multiple readback operations",)
"""What Chromium remarks on plotly.js as it is; no error."""

QUIET = 30_000
"""Milliseconds that a page is given at most until its picture is taken."""

SECONDS = 400
"""After which a browser counts as stuck."""

ATTEMPTS = 3
"""On a busy machine Chromium may take the picture before anything is painted; an empty one is taken again."""


def open_page(page: Path, picture: Path, *, width: int = 1200, height: int = 1600) -> tuple[np.ndarray, list[str]]:
    """Open a page without a network and take a picture when it is quiet; skips the test where there is no browser.

    Args:
        page: The HTML file.
        picture: Where the picture goes (png).
        width: Of the window in pixels.
        height: Of the window in pixels.

    Returns:
        Red, green and blue in 0..1, (row, column, 3), and the lines of the console.
    """
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    for attempt in range(ATTEMPTS):
        image, lines = _take_picture(browser, page, picture, width, height)
        if float(np.ptp(image)) > 0 or attempt == ATTEMPTS - 1:
            break
    return image, lines


def _take_picture(
    browser: str, page: Path, picture: Path, width: int, height: int
) -> tuple[np.ndarray, list[str]]:
    """One start of the browser."""
    from matplotlib.image import imread

    done = subprocess.run(
        [
            browser, "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
            f"--user-data-dir={picture.parent / 'profile'}", "--hide-scrollbars", f"--timeout={QUIET}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--window-size={width},{height}",
            f"--screenshot={picture}", page.resolve().as_uri(),
        ],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )
    assert picture.exists(), done.stderr[-2000:]
    lines = re.findall(r":CONSOLE:\d+\] (.*)", done.stderr)
    return imread(picture)[..., :3], [line for line in lines if not any(hint in line for hint in HINTS)]
