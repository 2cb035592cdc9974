# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Progress of long work: lines appended to a file that the action plugin follows.

A module cannot stream: what it prints is read when it ends.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

#: Seconds between two lines of the same count.
INTERVAL = 1.0


class Progress:
    """Says what is being done; silent when nobody follows (no path)."""

    def __init__(self, path: str | None = None) -> None:
        """Create the file at *path*, for this user only; it must not exist yet."""
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600) if path else None
        self._last = 0.0
        self._told = ""

    def say(self, text: str) -> None:
        """Append one line; a line break in *text* becomes a space."""
        if self._descriptor is not None:
            # Names that are no UTF-8 are shown as Python writes them.
            os.write(self._descriptor, (" ".join(text.splitlines()) + "\n").encode("utf-8", "backslashreplace"))

    def count(self, text: str, done: int, total: int) -> None:
        """Say C(text done/total), at most once in C(INTERVAL), and always at the end."""
        self._tell(f"{text} {done}/{total}", done >= total)

    def size(self, text: str, done: int, total: int) -> None:
        """Like M(count), with bytes shown as MB (10**6 bytes)."""
        self._tell(f"{text} {done / 1e6:.0f}/{total / 1e6:.0f} MB", done >= total)

    def _tell(self, line: str, over: bool) -> None:
        now = time.monotonic()
        # What comes last may be empty: the end is told once.
        if line == self._told or (not over and now - self._last < INTERVAL):
            return
        self._last, self._told = now, line
        self.say(line)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *unused: t.Any) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._path is not None:
            # Who cleans /tmp up may have been here.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
