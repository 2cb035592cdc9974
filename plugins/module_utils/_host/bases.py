# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Bases: the generations on this host that have files for a new one, and what none of them has."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digest_of
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Stats, parse_stat_index, stats_of
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis, given_of
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    FILE,
    Entry,
    content_id_of,
    entries_by_line,
    unpack_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header, Item


class Base(t.NamedTuple):
    """A generation that gives."""

    tree: str
    header: Header
    #: The file list of the bundle that it is made of, and its entries by line and by path.
    files: bytes
    lines: t.Dict[bytes, Entry]
    entries: t.Dict[str, Entry]
    items: t.Dict[str, Item]
    #: Stats of files that hold what was deployed: as its stat index says, or as they were read.
    vouched: t.Dict[str, Stats]

    def at(self, path: str) -> str:
        """Return where *path* is."""
        return f"{self.tree}/{path}"

    def intact(self, path: str) -> t.Optional[os.stat_result]:
        """Return what lstat says of the file at *path* where it holds the bytes that were deployed, else None."""
        item, full = self.items.get(path), self.at(path)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            status = os.lstat(full)
            stats = stats_of(status)
            if item is None or item.type != FILE or not stat.S_ISREG(status.st_mode):
                return None
            if stats == self.vouched.get(path):
                return status
            if status.st_size == item.size and digest_of(full) == item.sha256:
                self.vouched[path] = stats
                return status
        return None


class Bases:
    """The generations that were made of a bundle, those of *content_id* first, the live one before older ones.

    All but the first are read when they are asked for.
    """

    def __init__(self, store: Store, content_id: str) -> None:
        self._found = _bases(store, content_id)
        self.first = next(self._found, None)

    def __iter__(self) -> t.Iterator[Base]:
        """Yield them; once."""
        return itertools.chain([self.first] if self.first else [], self._found)


def _bases(store: Store, content_id: str) -> t.Iterator[Base]:
    live = store.live()
    trees = {live.generation: store.prefix} if live else {}
    trees.update({generation: store.tree(generation) for generation in reversed(store.kept())})
    readable = {}
    for generation in trees:
        # What cannot be read gives nothing.
        with contextlib.suppress(BundleError):
            readable[generation] = store.header(generation)
    for generation in sorted(readable, key=lambda each: readable[each].content_id != content_id):
        with contextlib.suppress(BundleError):
            packed = store.file_list(generation)
            files = unpack_files(packed) if packed else b""
            if content_id_of(files) == readable[generation].content_id:
                yield _base(store, trees[generation], readable[generation], files)


def _base(store: Store, tree: str, header: Header, files: bytes) -> Base:
    lines = entries_by_line(files)
    entries = {entry.path: entry for entry in lines.values()}
    index = parse_stat_index(store.index(header.generation))
    return Base(tree, header, files, lines, entries, store.receipt(header.generation).items, index)


def basis_of(store: Store, content_id: str) -> Basis:
    """Return what this host holds for a bundle of *content_id*; every file that is not as it was deployed is read."""
    giving = Bases(store, content_id)
    if giving.first is None:
        return Basis()
    listed = list(giving.first.entries.values())
    lacked = {entry.path: entry.sha256 for entry in listed if entry.type == FILE}
    for base in giving:
        for path in _held(base, listed, lacked):
            lacked.pop(path, None)
        if not lacked:
            break
    return Basis(giving.first.header.content_id, tuple(sorted(set(lacked.values()))))


def _held(base: Base, listed: t.Sequence[Entry], wanted: t.Container[str]) -> set[str]:
    """Return the paths of *listed* that *base* can give, those that are not *wanted* unseen."""
    return given_of(
        base.entries, listed, lambda entry, source: entry.path not in wanted or base.intact(source) is not None
    )
