# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The cache on the controller: files that one process has at a time, and that go when nobody used them for long."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
import typing as t

#: Seconds after which what nobody used goes: half a year, as fleets may rest that long between two releases.
KEPT = 180 * 24 * 3600

_DAY = 24 * 3600
#: What is written here. Nothing else is ever removed, as users name the directory, and have more in it.
_OURS = re.compile(
    r"(verified|programs)-[0-9a-f]{16}|part-[0-9a-f]{16}-[0-9]+-[0-9]+|archive-[0-9]+|[0-9a-f]{16}-[0-9]+-.+"
    r"|[0-9a-f]{16}-[0-9a-f]{16}\.delta\.[a-z]+(\.json|\.new)?|[0-9a-f]{16}\.tar\.gz(\.digest|\.new)?"
    r"|[0-9a-f]{16}-[0-9a-f]{16}\.files\.gz(\.digest|\.new)?"
    r"|lists/[0-9a-f]{16}|derived/[0-9a-f]{16}-[0-9]+|hosts/[0-9a-f]{16}\.json"
)


def default_cache() -> str:
    """Return where derived things are kept unless the user says otherwise."""
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "airgap-conda")


@contextlib.contextmanager
def exclusively(cache: str, name: str) -> t.Iterator[t.IO[str]]:
    """Yield the file *name* of the *cache*, which no other process has meanwhile, and which is used by that."""
    os.makedirs(cache, mode=0o700, exist_ok=True)
    with open(os.path.join(cache, name), "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(file.fileno())
        file.seek(0)
        yield file


def note_down(note: t.IO[str], text: str) -> None:
    """Make *text* the whole of the file *note*."""
    note.seek(0)
    note.truncate()
    note.write(text)


def once(cache: str, name: str, stat: str, find: t.Callable[[], str]) -> str:
    """Return what *find* finds, which holds for as long as *stat* stays: asked of one of all processes."""
    with exclusively(cache, name) as note:
        known, _newline, found = note.read().partition("\n")
        if known != stat:
            found = find()
            note_down(note, f"{stat}\n{found}")
    return found


def derived(cache: str, name: str, make: t.Callable[[str], str]) -> tuple[str, str]:
    """Return the path of the file *name* of the cache and its sha256 (hex), made where it is not there.

    *make* writes to the path that it is given, which becomes the file when it is whole, and returns the digest.
    """
    path = os.path.join(cache, name)
    with exclusively(cache, f"{name}.digest") as note:
        digest = note.read()
        if not digest or not os.path.exists(path):
            digest = make(f"{path}.new")
            os.replace(f"{path}.new", path)
            note_down(note, digest)
        used(path)
    return path, digest


def stat_of(path: str) -> str:
    """Return what changes whenever the file at *path* does."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(path)
        return f"{path} {status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    return "missing"


def used(path: str) -> None:
    """Note that *path*, of the cache, is used."""
    with contextlib.suppress(OSError):
        os.utime(path)


def prune(cache: str) -> None:
    """Remove what nobody used for as long as C(KEPT), once a day."""
    now = time.time()
    with exclusively(cache, "pruned") as note:
        today = str(int(now // _DAY))
        if note.read() == today:
            return
        note_down(note, today)
        for name in filter(_OURS.fullmatch, _names(cache)):
            path = os.path.join(cache, name)
            # What another user has there is for that one to remove.
            with contextlib.suppress(OSError):
                if now - os.lstat(path).st_mtime > KEPT:
                    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def _names(cache: str) -> list[str]:
    names = os.listdir(cache)
    for directory in ("lists", "derived", "hosts"):
        with contextlib.suppress(FileNotFoundError):
            names += [f"{directory}/{name}" for name in os.listdir(os.path.join(cache, directory))]
    return names
