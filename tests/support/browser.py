"""Headless Chromium: a screenshot of a page and what the page wrote to the console.

The browser is led over the two pipes of `--remote-debugging-pipe` (Chrome DevTools Protocol, messages of JSON that
end in a null byte), so that the picture is taken when the page says that it is drawn, however busy the machine is.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

HINTS = ("Canvas2D: Multiple readback operations",)
"""What Chromium remarks on plotly.js as it is; no error."""

SECONDS = 400
"""After which a browser counts as stuck."""

READY = """
    document.readyState === 'complete' && (document.getElementById('figures') === null
        || document.documentElement.dataset.drawn === 'yes' || document.querySelector('.missing') !== null)
"""
"""True of a page without figures, of one whose figures are drawn, and of one that says why they are not."""


def open_page(page: Path, picture: Path, *, width: int = 1200, height: int = 1600) -> tuple[np.ndarray, list[str]]:
    """Open a page without a network and take a picture when it is drawn; skips the test where there is no browser.

    Args:
        page: The HTML file.
        picture: Where the picture goes (png).
        width: Of the window in pixels.
        height: Of the window in pixels.

    Returns:
        Red, green and blue in 0..1, (row, column, 3), and the lines of the console.
    """
    from matplotlib.image import imread

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    with _start(browser, picture.parent) as connection:
        target = connection.call("Target.createTarget", url="about:blank")["targetId"]
        connection.session = connection.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            connection.call(f"{domain}.enable")
        connection.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        connection.call("Page.navigate", url=page.resolve().as_uri())
        while not connection.call("Runtime.evaluate", expression=READY)["result"].get("value"):
            time.sleep(0.1)
        picture.write_bytes(base64.b64decode(connection.call("Page.captureScreenshot")["data"]))
        lines = list(filter(None, map(_console_line, connection.events)))
    return imread(picture)[..., :3], [line for line in lines if not any(hint in line for hint in HINTS)]


class _Connection:
    """Commands to the browser, one at a time, and the events that came meanwhile."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.session: str | None = None
        self.events: list[dict] = []
        self._to, self._from = to_browser, from_browser
        self._number = 0
        self._unread = b""
        self._deadline = time.monotonic() + SECONDS

    def call(self, method: str, **parameters) -> dict:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "result" in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict:
        """Wait for the next message."""
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], max(0.0, self._deadline - time.monotonic()))
            assert ready, f"the browser did not answer within {SECONDS} s"
            part = os.read(self._from, 1 << 20)
            assert part, "the browser ended"
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


@contextmanager
def _start(browser: str, folder: Path) -> Iterator[_Connection]:
    """Start a browser that reads commands from its descriptor 3 and answers on 4; ended with the context."""
    commands, answers = _high_pipe(), _high_pipe()
    with (folder / "browser.log").open("wb") as log:
        process = os.posix_spawn(
            browser,
            [
                browser, "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
                f"--user-data-dir={folder / 'profile'}", "--hide-scrollbars", "--remote-debugging-pipe",
                "--host-resolver-rules=MAP * ~NOTFOUND",
            ],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, commands[0], 3), (os.POSIX_SPAWN_DUP2, answers[1], 4),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
            ],
        )
    os.close(commands[0])
    os.close(answers[1])
    connection = _Connection(commands[1], answers[0])
    try:
        yield connection
        connection.session = None
        connection.call("Browser.close")
    except BaseException:
        os.kill(process, 15)
        raise
    finally:
        os.waitpid(process, 0)
        os.close(commands[1])
        os.close(answers[0])


def _high_pipe() -> tuple[int, int]:
    """A pipe whose two ends are not descriptors 3 or 4, which the browser uses."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


def _console_line(event: dict) -> str | None:
    """What an event says on the console: a call of `console`, an exception that nobody caught, the browser's words."""
    parameters = event.get("params", {})
    match event.get("method"):
        case "Runtime.consoleAPICalled":
            return " ".join(str(part.get("value", part.get("description"))) for part in parameters["args"])
        case "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            return details.get("exception", {}).get("description", details["text"])
        case "Log.entryAdded":
            return parameters["entry"]["text"]
    return None
