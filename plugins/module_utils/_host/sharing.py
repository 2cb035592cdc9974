# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Share: what a generation that is here already gives to a new one, so that only what changed is written.

All generations are baked for the same prefix. So what two file lists say in the same words is the same file, the prefix
in it included. It is taken only if its bytes are still those of the receipt, as its stat index vouches or its digest
proves; its inode only if all else is, too.
Files that people edit get an inode of their own: who appends to a file writes to all its names.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.bases import Base
from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._host.store import write_all
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stats_of
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import given_of
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    DIRECTORY,
    FILE,
    LINK,
    Entry,
    source_of_bytecode,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import SHARE_AUTO, SHARE_COPY
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Item
from ansible_collections.airgap.conda.plugins.module_utils._model.renewal import Digest

#: What people edit, or their programs do.
_EDITED = re.compile(r"conda-meta/(history|state)|etc/.*|.*\.pth", re.DOTALL)

#: ioctl(2) of linux/fs.h: one file becomes a copy of another that shares its blocks.
_FICLONE = 0x40049409

#: What says that a file system or its rules do not let a file have one more name.
_CANNOT_LINK = (errno.EMLINK, errno.EPERM, errno.EACCES, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)

#: What says that a file system cannot share blocks.
_CANNOT_CLONE = (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM, errno.EISDIR)

_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Sharing:
    """Gives *staging* what *base* has, each file in the way that *how* and the file system allow."""

    def __init__(self, base: Base, staging: Staging, how: str) -> None:
        self._base = base
        self._staging = staging
        self._reflinks = how == SHARE_AUTO
        self._hard_links = how != SHARE_COPY

    def give(self, entries: t.Sequence[Entry], wanted: t.Container[str]) -> None:
        """Give what the base has of *entries*, as far as their paths are *wanted*."""
        given_of(
            self._base.entries,
            entries,
            lambda entry, origin: entry.path not in wanted or self._give_entry(entry, origin),
        )

    def give_bytecode(self, entries: t.Iterable[Entry]) -> set[str]:
        """Give what was compiled of sources that are the same; return the sources that need no compiling."""
        if not self._base.header.bytecode:
            return set()
        settled = {entry.path for entry in entries if entry.type == FILE and self._is_same(entry)}
        for item in self._base.items.values():
            source = source_of_bytecode(item.path)
            if item.derived and item.type == FILE and source in settled and not self._give_derived(item):
                settled.remove(source)
        return settled

    def _is_same(self, entry: Entry) -> bool:
        return self._base.entries.get(entry.path) == entry

    def _give_entry(self, entry: Entry, origin: str) -> bool:
        staging, item = self._staging, self._base.items.get(origin)
        if entry.type in (LINK, DIRECTORY):
            # Nothing is saved by sharing these; no archive is needed for them either.
            staging.make(entry)
            staging.give(entry.path, staging.items[entry.path], os.lstat(staging.at(entry.path)).st_ino)
            return True
        if item is None:
            return False
        given = self._give_file(item, item._replace(path=entry.path, mode=entry.mode), entry.mtime * 10**9)
        if given and (entry.relocations or item.sha256 != entry.sha256):
            staging.relocated[entry.path] = Digest(item.sha256, item.size)
        return given

    def _give_derived(self, item: Item) -> bool:
        if item.path in self._staging.items:
            return True
        self._staging.give_directory(os.path.dirname(item.path))
        return self._give_file(item, item, None)

    def _give_file(self, item: Item, wanted: Item, mtime_ns: int | None) -> bool:
        """Give the file of *item* as *wanted*; False where the base does not have its bytes."""
        source, before = self._base.at(item.path), self._base.intact(item.path)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            inode = self._put(source, wanted, before, mtime_ns) if before else None
            if inode is not None:
                self._staging.give(wanted.path, wanted, inode)
                return True
        return False

    def _put(self, source: str, item: Item, before: os.stat_result, wanted_ns: int | None) -> int | None:
        """Put the file *source* into the new tree as *item*, with the mtime *wanted_ns*, or with that which it has.

        Return its inode there; None where it changed meanwhile.
        """
        mtime_ns = before.st_mtime_ns if wanted_ns is None else wanted_ns
        if self._reflinks:
            try:
                return self._copy(source, item, before, mtime_ns, _clone)
            except OSError as error:
                if error.errno not in _CANNOT_CLONE:
                    raise
                self._reflinks = False
        # What drifted but in its bytes is nobody's to share.
        as_it_is = (stat.S_IMODE(before.st_mode), before.st_mtime_ns) == (item.mode, mtime_ns)
        owned = (before.st_uid, before.st_gid) == self._staging.owner
        if self._hard_links and owned and as_it_is and not _EDITED.fullmatch(item.path):
            try:
                return self._link(source, item, before)
            except OSError as error:
                if error.errno not in _CANNOT_LINK:
                    raise
        return self._copy(source, item, before, mtime_ns, _transfer)

    def _link(self, source: str, item: Item, before: os.stat_result) -> int | None:
        target = self._staging.at(item.path)
        os.link(source, target, follow_symlinks=False)
        now = os.lstat(target)
        if self._staging.touched.note(before, now):
            return now.st_ino
        os.unlink(target)
        return None

    def _copy(
        self, source: str, item: Item, before: os.stat_result, mtime_ns: int, transfer: t.Callable[[int, int], object]
    ) -> int | None:
        reading = os.open(source, _READ)
        try:
            with self._staging.create(item.path, item.mode, mtime_ns) as writing:
                transfer(writing, reading)
                inode = os.fstat(writing).st_ino
            unchanged = stats_of(os.fstat(reading)) == stats_of(before)
        except OSError:
            os.unlink(self._staging.at(item.path))
            raise
        finally:
            os.close(reading)
        if unchanged:
            return inode
        os.unlink(self._staging.at(item.path))
        return None


def _clone(writing: int, reading: int) -> None:
    fcntl.ioctl(writing, _FICLONE, reading)


def _transfer(writing: int, reading: int) -> None:
    for chunk in iter(lambda: os.read(reading, _CHUNK), b""):
        write_all(writing, chunk)
