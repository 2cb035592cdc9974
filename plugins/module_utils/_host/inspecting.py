# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Inspect: the environments of a directory, their generations, and what still runs from one that is not live."""

from __future__ import annotations

import collections
import contextlib
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.processes import Process, running_from
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import switches_until
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Stats, parse_stat_index, stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import NAME, Manifest, parse_manifest
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header

Fields = t.Dict[str, t.Any]


class Size(t.NamedTuple):
    """Bytes of the files of a generation."""

    #: Of those that no other generation shares, which removing it would free.
    own: int
    shared: int


def inspect(envs_dirs: t.Iterable[str], names: t.Collection[str]) -> list[Fields]:
    """Return what there is to tell of the environments in *envs_dirs*, of all or of those of *names*."""
    found = [_inspect(Store(envs_dir, name)) for envs_dir in envs_dirs for name in _stores(envs_dir)]
    wanted = [each for each in found if not names or each["name"] in names]
    return sorted(wanted, key=lambda each: str(each["prefix"]))


def _stores(envs_dir: str) -> list[str]:
    if not envs_dir.startswith("/"):
        raise DeployError(f"envs_dirs must be absolute paths of the host, not {envs_dir!r}")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return list(filter(NAME.fullmatch, os.listdir(os.path.join(envs_dir, ".airgap"))))
    return []


def _inspect(store: Store) -> Fields:
    header = store.live()
    live = header.generation if header else ""
    headers = [store.header(generation) for generation in store.kept()] + ([header] if header else [])
    trees = {each.generation: store.prefix if each == header else store.tree(each.generation) for each in headers}
    measured = sizes({generation: parse_stat_index(stat_index(tree)) for generation, tree in trees.items()})
    generations = [_generation(store, each, each == header, measured[each.generation]) for each in headers]
    return {
        "name": os.path.basename(store.root),
        "prefix": store.prefix,
        "content_id": header.content_id if header else "",
        "generation": live,
        "generations": sorted(generations, key=lambda each: str(each["generation"])),
        "switches": [switch._asdict() for switch in switches_until(store, live)],
        "processes": [_process(process) for process in running_from(store.root)],
    }


def _generation(store: Store, header: Header, live: bool, size: Size) -> Fields:
    manifest = _manifest(store, header.generation)
    return {
        "generation": header.generation,
        "content_id": header.content_id,
        "live": live,
        "failure": store.failure(header.generation),
        "created": header.created,
        "by": header.by,
        "bundle": manifest.label if manifest else "",
        "packed": manifest.created if manifest else "",
        "size_own": size.own,
        "size_shared": size.shared,
    }


def _manifest(store: Store, generation: str) -> Manifest | None:
    """Return the manifest of the bundle that *generation* was made of; None for what was not made of one."""
    with contextlib.suppress(FileNotFoundError):
        return parse_manifest(store.manifest(generation), store.path("manifests", generation))
    return None


def _process(process: Process) -> Fields:
    part, _slash, below = process.path.partition("/")
    # Of one that was collected nothing but the process is left.
    generation = below.partition("/")[0] if part == "generations" else ""
    return {"pid": process.pid, "user": process.user, "command": process.command, "generation": generation}


def sizes(trees: t.Mapping[str, t.Mapping[str, Stats]]) -> dict[str, Size]:
    """Return the size of each of *trees*, given by what lstat says of the files in it."""
    # Of directories there are no inodes.
    files = {name: {stats[3]: stats[4] for stats in tree.values() if len(stats) > 3} for name, tree in trees.items()}
    counted = collections.Counter(inode for tree in files.values() for inode in tree)
    found = {}
    for name, tree in files.items():
        shared = sum(size for inode, size in tree.items() if counted[inode] > 1)
        found[name] = Size(sum(tree.values()) - shared, shared)
    return found
