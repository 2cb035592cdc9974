# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few system calls of Linux that Python 3.11 has no function for."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(namespace: int, kind: int) -> None:
    _check(_libc.setns(namespace, kind), "setns")


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    words = (os.fsencode(text) or None for text in (source, str(target), kind))
    _check(_libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None), f"mount {kind} on {target}")


def enter_root(root: Path) -> None:
    """Make the mount at `root` the root; the old root and all mounts below it are gone from this namespace."""
    os.chdir(root)
    _check(_libc.syscall(PIVOT_ROOT[platform.machine()], b".", b"."), f"pivot_root to {root}")
    # the old root now lies above the new one at the same place
    _check(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def die_with_parent() -> None:
    """This process is killed when the thread that forked it ends, however it ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")


@contextmanager
def network_of(namespace: int) -> Iterator[None]:
    """This process, and what it starts, in that network namespace; then back in its own."""
    with opened("/proc/self/ns/net") as home:
        setns(namespace, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(home, CLONE_NEWNET)


def fork_init() -> int:
    """fork() whose child is process 1 of a new pid namespace; the parent stays in its own."""
    with opened("/proc/self/ns/pid") as home:
        unshare(CLONE_NEWPID)
        child = os.fork()
        if child:
            setns(home, CLONE_NEWPID)
        return child


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A file descriptor of a namespace, which holds it as long as it is open."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
