# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Verify: how a tree differs from its receipt, reading only what its stat index does not vouch for."""

from __future__ import annotations

import errno
import os
import re
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import Digests, processors
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import (
    Denied,
    Stats,
    parse_stat_index,
    stat_index,
    vouching_for_others,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    FILE,
    LINK,
    parents,
    source_of_bytecode,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.findings import (
    FILE_KINDS,
    UNEXPECTED,
    Finding,
    Seen,
    damage_of,
    of_missing,
    of_recorded,
    of_unexpected,
    type_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import VERIFY_FULL, VERIFY_RECEIPT
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Damage
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Item

#: So much of a changed file is searched for prefixes that are not its own.
_SEARCHED = 1 << 20
_PLACEHOLDER = re.compile(
    rb"_placehold_placehold|airgap_conda_prefix_placeholder|/opt/anaconda1anaconda2anaconda3|/airgap-conda/build/"
)
_INTERPRETER = re.compile(rb"#![ \t]*(/[^\s]+)/bin/[^\s/]*(?:python|pypy|[Rr]script|perl)[^\s/]*")
#: Where the host's own interpreters are, below which no environment is.
_SYSTEM = (b"", b"/usr", b"/usr/local")

#: Where stats have size and mtime.
_SIZE, _MTIME = 4, 5


class Verified(t.NamedTuple):
    """What verifying found."""

    damage: Damage
    #: The tree's stat index as it is now, where it should replace the kept one; else None.
    fresh_index: t.Optional[bytes] = None
    #: Whether anything differs that is no damage, and not benign.
    strange: bool = False


class Examined(t.NamedTuple):
    """What examining found."""

    findings: t.Tuple[Finding, ...] = ()
    #: As of C(Verified); nothing that differs is in it, so that it is found again.
    fresh_index: t.Optional[bytes] = None
    #: Directories nothing is known of.
    denied: t.Mapping[str, str] = {}


def verify(store: Store, tree: str, generation: str, depth: str, registered: t.Container[str] = ()) -> Verified:
    """Compare *tree* with the receipt of *generation*.

    Depth 'receipt' looks at nothing but that the receipt is there; 'quick' reads files whose lstat changed since they
    were last seen intact; 'full' reads all. *registered*: paths below the prefix that registration put there.
    """
    if depth == VERIFY_RECEIPT:
        return Verified(Damage())
    examined = examine(store, tree, generation, depth, registered)
    for path in examined.denied:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    strange = any(finding.kind in FILE_KINDS and finding.change in ("", UNEXPECTED) for finding in examined.findings)
    return Verified(damage_of(examined.findings), examined.fresh_index, strange)


def examine(store: Store, tree: str, generation: str, depth: str, registered: t.Container[str] = ()) -> Examined:
    """Return every difference between *tree* and the receipt of *generation*, as deep as M(verify)."""
    denied: Denied = {}
    kept, now = store.index(generation), stat_index(tree, denied)
    if depth != VERIFY_FULL and kept == now and not denied:
        return Examined()
    found, last = parse_stat_index(now), parse_stat_index(kept)
    same_device = kept.partition(b"\0")[0] == now.partition(b"\0")[0]
    known = last if same_device and depth != VERIFY_FULL else {}
    if depth == VERIFY_FULL:
        # Read by other processes while this one reads the receipt.
        digests = _digests(tree, (path for path, stats in found.items() if stat.S_ISREG(stats[0])), found)
        items = store.receipt(generation).items
    else:
        items = store.receipt(generation).items
        digests = _digests(tree, _suspects(items, found, known), found)
    findings = tuple(_Tree(tree, store.prefix, found, known, last, digests).compare(items, registered, denied))
    fresh = vouching_for_others(now, [finding.path for finding in findings if not finding.benign])
    return Examined(findings, fresh if fresh != kept and not denied else None, denied)


def unexpected_of(
    items: t.Mapping[str, Item], found: t.Mapping[str, Stats], registered: t.Container[str] = ()
) -> list[str]:
    """Return what is *found* and of no receipt but directories and bytecode, with which nothing is lost."""
    strange = [path for path in found if path not in items and path not in registered]
    return [path for path in strange if not stat.S_ISDIR(found[path][0]) and source_of_bytecode(path) is None]


def _digests(tree: str, paths: t.Iterable[str], found: t.Mapping[str, Stats]) -> Digests:
    return Digests(tree, [(path, found[path][_SIZE]) for path in paths], processors())


def _suspects(
    items: t.Mapping[str, Item], found: t.Mapping[str, Stats], known: t.Mapping[str, Stats]
) -> t.Iterator[str]:
    """Yield the files that nothing but their bytes can tell to be as recorded."""
    for path, stats in found.items():
        item = items.get(path)
        is_file = item is not None and item.type == FILE and stat.S_ISREG(stats[0])
        if item is not None and is_file and stats[_SIZE] == item.size and stats != known.get(path):
            yield path


class _Tree(t.NamedTuple):
    """A tree, and what lstat says of it."""

    root: str
    #: Where it is live, or was.
    prefix: str
    found: t.Mapping[str, Stats]
    #: Of what was last seen intact, as far as it vouches for anything.
    known: t.Mapping[str, Stats]
    #: The same, whether or not it does.
    last: t.Mapping[str, Stats]
    digests: Digests

    def compare(
        self, items: t.Mapping[str, Item], registered: t.Container[str], denied: t.Container[str]
    ) -> t.Iterator[Finding]:
        """Yield how the tree differs from *items*; nothing is said of what is below directories *denied*."""
        changed = set()
        for path, item in items.items():
            stats = self.found.get(path)
            if stats is None:
                if not item.derived and not any(parent in denied for parent in parents(path)):
                    yield of_missing(item)
            elif stats != self.known.get(path):
                seen = self._see(path, item, stats)
                if not seen.same:
                    changed.add(path)
                yield from of_recorded(item, seen)
        new = {path: stats for path, stats in self.found.items() if path not in items and path not in registered}
        if new:
            kept = {path for path in items if path in self.found}
            yield from of_unexpected({path: self._see_new(path, stats) for path, stats in new.items()}, changed, kept)

    def _see(self, path: str, item: Item, stats: Stats) -> Seen:
        kind = type_of(stats[0])
        same: t.Optional[bool] = kind == item.type
        if same and kind == LINK:
            same = os.readlink(os.path.join(self.root, path)) == item.target
        elif same and kind == FILE:
            same = self._is_recorded(path, item, stats)
        taint = self._taint(path) if kind == FILE and same is False else ""
        last = self.last.get(path, ())
        touched = len(last) > _MTIME and len(stats) > _MTIME and last[_MTIME] != stats[_MTIME]
        return Seen(kind, stat.S_IMODE(stats[0]), stats[1], stats[2], same, taint, touched)

    def _is_recorded(self, path: str, item: Item, stats: Stats) -> t.Optional[bool]:
        if stats[_SIZE] != item.size:
            return False
        digest = self.digests.of(path)
        return None if digest is None else digest == item.sha256

    def _see_new(self, path: str, stats: Stats) -> Seen:
        kind = type_of(stats[0])
        # Caches are many, and name what their sources name.
        taint = self._taint(path) if kind == FILE and source_of_bytecode(path) is None else ""
        return Seen(kind, stat.S_IMODE(stats[0]), stats[1], stats[2], taint=taint)

    def _taint(self, path: str) -> str:
        """Return which prefix that is not its own the changed file at *path* holds, if any."""
        try:
            descriptor = os.open(os.path.join(self.root, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb", buffering=0) as file:
                head = file.read(_SEARCHED)
        except OSError:
            return ""
        if _PLACEHOLDER.search(head):
            return "placeholder"
        interpreter = _INTERPRETER.match(head)
        own = os.fsencode(self.prefix)
        return "foreign-prefix" if interpreter and interpreter[1] not in (own, *_SYSTEM) else ""
