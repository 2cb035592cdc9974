# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The processes of this host that use a directory: their program, a library, an open file or they themselves are in it.

A process keeps what it has opened when a tree is renamed or removed, and the kernel tells where that is now. Of other
users' processes only root is told.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import typing as t

#: What the kernel says instead when the process has ended, or is not ours to look at.
_UNTOLD = (FileNotFoundError, ProcessLookupError, PermissionError)

#: A mapping that has a file: address, permissions, offset, device, inode, path.
_MAPPING = re.compile(rb"^\S+ \S+ \S+ \S+ \d+ +(/.*)$", re.MULTILINE)


class Process(t.NamedTuple):
    """A process that runs from a directory."""

    pid: int
    user: str
    #: Its name only: arguments may hold what is secret.
    command: str
    #: The first of the paths that it runs from, below the directory.
    path: str


def running_from(directory: str) -> list[Process]:
    """Return the processes that run from what is, or was, in *directory*."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(*_UNTOLD):
                path = next(_below(directory, int(name)), None)
                if path is not None:
                    found.append(Process(int(name), _user(int(name)), _command(int(name)), path))
    return sorted(found)


def _below(directory: str, pid: int) -> t.Iterator[str]:
    """Yield what *pid* uses of *directory*, its program first, by paths below that; an empty one for itself."""
    start = os.path.join(directory, "")
    with open(f"/proc/{pid}/maps", "rb") as file:
        mapped = {os.fsdecode(path) for path in _MAPPING.findall(file.read())}
    opened = [f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]
    links = map(_target, (f"/proc/{pid}/cwd", f"/proc/{pid}/root", *opened))
    for path in (_target(f"/proc/{pid}/exe"), *sorted(mapped), *links):
        if os.path.join(path, "").startswith(start):
            yield path[len(start) :]


def _target(link: str) -> str:
    """Return where *link* of a process leads; it may have closed it meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return os.readlink(link)
    return ""


def _user(pid: int) -> str:
    uid = os.stat(f"/proc/{pid}").st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _command(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().rstrip("\n")
