# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Quarantine: what users put into a generation, moved aside before that generation goes.

C(quarantine/<generation>/) of the store holds it as it lay below the prefix; a removal leaves it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store, remove_tree
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import parse_stat_index, stat_index
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import unexpected_of
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Item, number_of

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def rescue(store: Store, generation: str) -> list[str]:
    """Move what no receipt knows of the kept *generation* aside; return its paths. Of generation zero that is all."""
    tree = store.tree(generation)
    if number_of(generation) == 0:
        os.rename(tree, _free(store, generation))
        return [""]
    found = unexpected_of(_items(store, generation), parse_stat_index(stat_index(tree)))
    if found:
        _move(tree, _made(_free(store, generation)), found)
    return found


def discard(store: Store, generation: str) -> None:
    """Remove what no receipt knows of the kept *generation*, which was deployed."""
    tree = store.tree(generation)
    found = unexpected_of(_items(store, generation), parse_stat_index(stat_index(tree)))
    if found:
        place = _made(_free(store, generation))
        _move(tree, place, found)
        remove_tree(place)
        with contextlib.suppress(OSError):
            # Unless it holds what was kept.
            os.rmdir(store.quarantine)


def _items(store: Store, generation: str) -> t.Mapping[str, Item]:
    # Without a receipt that can be read all may be a user's.
    with contextlib.suppress(BundleError, FileNotFoundError):
        return store.receipt(generation).items
    return {}


def _free(store: Store, generation: str) -> str:
    """Return a path in the quarantine that is free, after its directory was made."""
    os.makedirs(store.quarantine, exist_ok=True)
    path, number = os.path.join(store.quarantine, generation), 1
    while os.path.lexists(path):
        number += 1
        path = os.path.join(store.quarantine, f"{generation}.{number}")
    return path


def _made(directory: str) -> str:
    os.mkdir(directory, 0o755)
    return directory


def _move(tree: str, place: str, paths: t.Iterable[str]) -> None:
    """Move *paths* of *tree* to the directory *place*; links that the tree's owner plants lead nowhere."""
    source, target = os.open(tree, _DIRECTORY), os.open(place, _DIRECTORY)
    try:
        for path in paths:
            _move_one(source, target, path)
    finally:
        os.close(source)
        os.close(target)


def _move_one(source: int, target: int, path: str) -> None:
    *above, name = path.split("/")
    with contextlib.ExitStack() as opened:
        for part in above:
            source = os.open(part, _DIRECTORY, dir_fd=source)
            opened.callback(os.close, source)
            status = os.fstat(source)
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=target)
            target = os.open(part, _DIRECTORY, dir_fd=target)
            opened.callback(os.close, target)
            if os.geteuid() == 0:
                os.fchown(target, status.st_uid, status.st_gid)
            os.fchmod(target, stat.S_IMODE(status.st_mode))
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
