# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Share: what a generation that is here already gives to a new one, so that only what changed is written.

All generations are baked for the same prefix. So what two file lists say in the same words is the same file, the prefix
in it included. It is taken only if it is still what the receipt says, as its stat index vouches or its digest proves.
Files that people edit get an inode of their own: who appends to a file writes to all its names.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging, write_all
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Stats, parse_stat_index, stats_of
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import is_as_recorded
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import origins
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    DIRECTORY,
    FILE,
    LINK,
    Entry,
    parse_files,
    source_of_bytecode,
    unpack_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import SHARE_AUTO, SHARE_COPY
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header, Item
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


class Base(t.NamedTuple):
    """A generation that gives."""

    tree: str
    header: Header
    entries: t.Dict[str, Entry]
    items: t.Dict[str, Item]
    #: What its stat index vouches for.
    vouched: t.Dict[str, Stats]


def find_base(store: Store, content_id: str = "") -> Base | None:
    """Return the live generation, or else the newest one that is kept and made of a bundle; None without any.

    With *content_id*, only one of that content will do.
    """
    live = store.live()
    trees = {live.generation: store.prefix} if live else {}
    trees.update({generation: store.tree(generation) for generation in reversed(store.kept())})
    for generation, tree in trees.items():
        # What cannot be read gives nothing.
        with contextlib.suppress(BundleError):
            if content_id not in ("", store.header(generation).content_id):
                continue
            if files := store.file_list(generation):
                receipt = store.receipt(generation)
                entries = {entry.path: entry for entry in parse_files(unpack_files(files))}
                return Base(tree, receipt.header, entries, receipt.items, parse_stat_index(store.index(generation)))
    return None


class Sharing:
    """Gives *staging* what *base* has, each file in the way that *how* and the file system allow."""

    def __init__(self, base: Base, staging: Staging, how: str) -> None:
        self._base = base
        self._staging = staging
        self._reflinks = how == SHARE_AUTO
        self._hard_links = how != SHARE_COPY

    def give(self, entries: t.Iterable[Entry]) -> None:
        """Give what the base has of *entries*."""
        listed = list(entries)
        found = origins(self._base.entries.values(), listed)
        for entry in listed:
            if entry.path in found:
                self._give_entry(entry, found[entry.path])

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

    def _give_entry(self, entry: Entry, origin: str) -> None:
        staging, item = self._staging, self._base.items.get(origin)
        if entry.type in (LINK, DIRECTORY):
            # Nothing is saved by sharing these; no archive is needed for them either.
            staging.make(entry)
            staging.give(entry.path, staging.items[entry.path])
            return
        if item is None or item.type != FILE:
            return
        had = self._base.entries[origin].mtime * 10**9
        if self._give_file(item, had, item._replace(path=entry.path, mode=entry.mode), entry.mtime * 10**9) and (
            entry.relocations or item.sha256 != entry.sha256
        ):
            staging.relocated[entry.path] = Digest(item.sha256, item.size)

    def _give_derived(self, item: Item) -> bool:
        if item.path in self._staging.items:
            return True
        self._staging.give_directory(os.path.dirname(item.path))
        return self._give_file(item, None, item, None)

    def _give_file(self, item: Item, had_ns: int | None, wanted: Item, mtime_ns: int | None) -> bool:
        """Give the file of *item* as *wanted*; False where the base does not have it as it was deployed."""
        source = os.path.join(self._base.tree, item.path)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            before = os.lstat(source)
            if had_ns not in (None, before.st_mtime_ns):
                return False
            stats = stats_of(before)
            if stats != self._base.vouched.get(item.path) and not is_as_recorded(source, item, stats):
                return False
            time_ns = before.st_mtime_ns if mtime_ns is None else mtime_ns
            as_it_is = (wanted.mode, time_ns) == (item.mode, before.st_mtime_ns)
            if self._put(source, wanted, before, time_ns, as_it_is):
                self._staging.give(wanted.path, wanted)
                return True
        return False

    def _put(self, source: str, item: Item, before: os.stat_result, mtime_ns: int, as_it_is: bool) -> bool:
        """Put the file *source* into the new tree as *item*; False where it changed meanwhile."""
        if self._reflinks:
            try:
                return self._copy(source, item, before, mtime_ns, _clone)
            except OSError as error:
                if error.errno not in _CANNOT_CLONE:
                    raise
                self._reflinks = False
        owned = (item.uid, item.gid) == self._staging.owner
        if self._hard_links and owned and as_it_is and not _EDITED.fullmatch(item.path):
            try:
                return self._link(source, item, before)
            except OSError as error:
                if error.errno not in _CANNOT_LINK:
                    raise
        return self._copy(source, item, before, mtime_ns, _transfer)

    def _link(self, source: str, item: Item, before: os.stat_result) -> bool:
        target = self._staging.at(item.path)
        os.link(source, target, follow_symlinks=False)
        now = os.lstat(target)
        if stats_of(now)[:-1] == stats_of(before)[:-1]:
            self._staging.touched.note(before, now)
            return True
        os.unlink(target)
        return False

    def _copy(
        self, source: str, item: Item, before: os.stat_result, mtime_ns: int, transfer: t.Callable[[int, int], object]
    ) -> bool:
        reading = os.open(source, _READ)
        try:
            with self._staging.create(item.path, item.mode, mtime_ns) as writing:
                transfer(writing, reading)
            unchanged = stats_of(os.fstat(reading)) == stats_of(before)
        except OSError:
            os.unlink(self._staging.at(item.path))
            raise
        finally:
            os.close(reading)
        if not unchanged:
            os.unlink(self._staging.at(item.path))
        return unchanged


def _clone(writing: int, reading: int) -> None:
    fcntl.ioctl(writing, _FICLONE, reading)


def _transfer(writing: int, reading: int) -> None:
    for chunk in iter(lambda: os.read(reading, _CHUNK), b""):
        write_all(writing, chunk)
