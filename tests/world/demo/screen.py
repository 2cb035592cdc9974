# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watcher sees: short explanations, commands as one would type them, and their real output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

from ..ansible import BIN, Play
from . import kin

WIDTH = 100

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class DemoError(RuntimeError):
    """The demonstration cannot go on; the message says why in a line."""


class Screen:
    """The terminal of somebody who works in a directory."""

    def __init__(self, directory: Path, variables: Mapping[str, str]) -> None:
        self._directory = directory
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))}
        self._environment = {**ours, **variables, "PATH": f"{BIN}:{os.environ.get('PATH', os.defpath)}"}
        if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
            self._environment["ANSIBLE_FORCE_COLOR"] = "1"
        #: How long the last command took.
        self.seconds = 0.0

    def title(self, text: str) -> None:
        print(f"── {text} {'─' * (WIDTH - len(text) - 4)}\n", flush=True)

    def tell(self, text: str) -> None:
        print(textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False), flush=True)

    def show(self, command: str) -> None:
        """A command that only changes the shell it is typed in."""
        print(f"$ {command}", flush=True)

    def type(self, command: str) -> Play:
        """Run a command line and show it; an error if it fails."""
        self.show(command)
        began = time.monotonic()
        process = subprocess.Popen(
            ["/bin/sh", "-c", command], cwd=self._directory, env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            output = _copied(process)
            process.wait()
        except BaseException:
            kin.end(process.pid)
            raise
        self.seconds = time.monotonic() - began
        if not output.endswith("\n\n"):
            print(flush=True)
        if process.returncode:
            raise DemoError(f"`{command}` failed with {process.returncode}")
        return Play(process.returncode, _COLOUR.sub("", output))


def _copied(process: subprocess.Popen[bytes]) -> str:
    """What the process prints, shown while it comes."""
    assert process.stdout
    output = b""
    while chunk := os.read(process.stdout.fileno(), 1 << 16):
        output += chunk
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    return output.decode(errors="replace")
