# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that were started here, and those that they started: none outlives the demonstration."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on a process below this one whose parent ends becomes a child of this one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def end(pid: int) -> None:
    """Kill a process and all below it."""
    while True:
        found = [pid, *_below(pid)]
        for each in found:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        _take_in_the_dead()
        if len(found) == 1:
            return
        time.sleep(0.01)


def end_all() -> None:
    """Kill all that is below this process."""
    while found := list(_below(os.getpid())):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _take_in_the_dead()
        time.sleep(0.01)


def _below(pid: int) -> Iterator[int]:
    """Children of a process, their children, and so on; nothing where there is no /proc."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(status.parent.name))
    waiting = [pid]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found


def _take_in_the_dead() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
