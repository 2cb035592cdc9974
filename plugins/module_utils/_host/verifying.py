# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Verify: how a tree differs from its receipt, reading only what its stat index does not vouch for."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Stats, parse_stat_index, stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    DIRECTORY,
    FILE,
    LINK,
    source_of_bytecode,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import VERIFY_FULL, VERIFY_RECEIPT
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Damage
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Item

_CHUNK = 1 << 20


class Verified(t.NamedTuple):
    """What verifying found."""

    damage: Damage
    #: The tree's stat index as it is now, where it should replace the kept one; else None.
    fresh_index: t.Optional[bytes] = None


def verify(store: Store, tree: str, generation: str, depth: str, registered: t.Container[str] = ()) -> Verified:
    """Compare *tree* with the receipt of *generation*.

    Depth 'receipt' looks at nothing but that the receipt is there; 'quick' reads files whose lstat changed since they
    were last seen intact; 'full' reads all. *registered*: paths below the prefix that registration put there.
    """
    if depth == VERIFY_RECEIPT:
        return Verified(Damage())
    kept, now = store.index(generation), stat_index(tree)
    if depth != VERIFY_FULL and kept == now:
        return Verified(Damage())
    items = store.receipt(generation).items
    known = (
        {} if depth == VERIFY_FULL or kept.partition(b"\0")[0] != now.partition(b"\0")[0] else parse_stat_index(kept)
    )
    found = parse_stat_index(now)
    damage = compare(tree, items, known, found, registered)
    # An index that vouches for what is not ours would keep it from being found again.
    return Verified(damage, now if not any(damage) and kept != now else None)


def compare(
    prefix: str,
    items: t.Mapping[str, Item],
    known: t.Mapping[str, Stats],
    found: t.Mapping[str, Stats],
    registered: t.Container[str],
) -> Damage:
    """Return the damage of the tree that has the stats *found*, where *known* are those last seen intact."""
    missing, modified = [], []
    for path, item in items.items():
        stats = found.get(path)
        if stats is None:
            if not item.derived:
                missing.append(path)
        elif stats != known.get(path) and not is_as_recorded(os.path.join(prefix, path), item, stats):
            modified.append(path)
    return Damage(tuple(missing), tuple(modified), tuple(unexpected_of(items, found, registered)))


def unexpected_of(
    items: t.Mapping[str, Item], found: t.Mapping[str, Stats], registered: t.Container[str] = ()
) -> list[str]:
    """Return what is *found* and of no receipt but directories and bytecode, with which nothing is lost."""
    strange = [path for path in found if path not in items and path not in registered]
    return [path for path in strange if not stat.S_ISDIR(found[path][0]) and source_of_bytecode(path) is None]


def is_as_recorded(path: str, item: Item, stats: Stats) -> bool:
    """Whether what is at *path*, and has these *stats*, is what the receipt says."""
    mode, uid, gid = stats[:3]
    if (uid, gid) != (item.uid, item.gid):
        return False
    if item.type == LINK:
        return stat.S_ISLNK(mode) and os.readlink(path) == item.target
    if stat.S_IMODE(mode) != item.mode:
        return False
    if item.type == DIRECTORY:
        return stat.S_ISDIR(mode)
    return item.type == FILE and stat.S_ISREG(mode) and stats[4] == item.size and _digest(path) == item.sha256


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            for chunk in iter(lambda: file.read(_CHUNK), b""):
                digest.update(chunk)
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return digest.hexdigest()
