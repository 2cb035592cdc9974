# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real browser, without a window: Chromium, told what to do through a pipe by its own protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from .process import WorldError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: Seconds for an answer.
PATIENCE = 60
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
#: What a key does beside its name.
_TEXT = {"Enter": "\r"}


class Browser:
    """A browser with one page, for as long as the block runs."""

    def __enter__(self) -> Browser:
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            raise WorldError("there is no browser to look at pages with; install chromium")
        self._home = tempfile.TemporaryDirectory(prefix="browser-")
        orders, self._write = os.pipe()
        self._read, answers = os.pipe()
        # It reads from descriptor 3 and writes to descriptor 4, which may be in use here.
        shell = f'exec 60<&{orders} 61>&{answers}; exec "$0" "$@" 3<&60 4>&61'
        words = ["bash", "-c", shell, program, *OPTIONS, f"--user-data-dir={self._home.name}", "--window-size=1400,900"]
        # It leaves its socket in the directory of temporary files.
        environment = {**os.environ, "TMPDIR": self._home.name}
        self._process = subprocess.Popen(
            words, pass_fds=(orders, answers), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        os.close(orders)
        os.close(answers)
        self._rest, self._number = b"", 0
        #: What happened: the protocol's events, in order.
        self.events: list[dict[str, Any]] = []
        target = self._ask("Target.createTarget", {"url": "about:blank"}, session="")["targetId"]
        given = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True}, session="")
        self._session = given["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable", {})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._home.cleanup()

    def open(self, url: str) -> float:
        """Open a page; return the seconds until it was drawn."""
        self.events.clear()
        began = time.monotonic()
        self._ask("Page.navigate", {"url": url})
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._take()
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        return time.monotonic() - began

    def evaluate(self, expression: str) -> Any:
        """Return what JavaScript says."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        told = self._ask("Runtime.evaluate", asked)
        if "exceptionDetails" in told:
            raise WorldError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys, as names such as ArrowDown or as characters."""
        for key in keys:
            text = _TEXT.get(key, key if len(key) == 1 else "")
            for kind in ("keyDown", "keyUp"):
                code = {"Enter": 13, "Escape": 27, "Tab": 9}.get(key, 0)
                pressed = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
                self._ask(
                    "Input.dispatchKeyEvent", {**pressed, **({"text": text} if text and kind == "keyDown" else {})}
                )

    def prefer(self, scheme: str) -> None:
        """Let pages be 'light' or 'dark'."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._ask("Emulation.setEmulatedMedia", {"features": features})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", {"format": "png"})["data"]))

    @property
    def requested(self) -> list[str]:
        """The addresses that the page asked for."""
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent]

    @property
    def complaints(self) -> list[Any]:
        """What went wrong in the page."""
        bad = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event["method"] in bad]

    def _ask(self, method: str, params: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._number += 1
        order: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        session = self._session if session is None else session
        if session:
            order["sessionId"] = session
        os.write(self._write, json.dumps(order).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told = self._take()
            if told.get("id") == self._number:
                if "error" in told:
                    raise WorldError(f"{method}: {told['error']}")
                answer: dict[str, Any] = told["result"]
                return answer
        raise WorldError(f"the browser does not answer to {method}")

    def _take(self) -> dict[str, Any]:
        """Return the next that the browser says."""
        while b"\0" not in self._rest:
            data = os.read(self._read, 1 << 20)
            if not data:
                raise WorldError("the browser has ended")
            self._rest += data
        line, _nul, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        if "method" in told:
            self.events.append(told)
        return told
