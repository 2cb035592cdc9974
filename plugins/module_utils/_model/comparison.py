# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""How two bundles differ: by package, by file and in size. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.files import Entry
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Manifest
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import package_diff


class FileCounts(t.NamedTuple):
    """How many files, links and directories differ, and how many bytes the newer ones hold."""

    added: int
    removed: int
    changed: int
    #: Bytes of what is added or changed, as it lies in the bundle, uncompressed.
    bytes: int


def compare_files(before: t.Iterable[Entry], after: t.Iterable[Entry]) -> FileCounts:
    """Compare two file lists."""
    old, new = ({entry.path: entry for entry in entries} for entries in (before, after))
    added = [entry for path, entry in new.items() if path not in old]
    changed = [entry for path, entry in new.items() if old.get(path, entry) != entry]
    size = sum(entry.size for entry in (*added, *changed))
    return FileCounts(len(added), len(old.keys() - new.keys()), len(changed), size)


def compare_manifests(before: Manifest, after: Manifest) -> dict[str, t.Any]:
    """Return how the packages and sizes of two bundles differ, from *before* to *after*."""
    old, new = ({package.key: package for package in each.packages} for each in (before, after))
    both = sorted(old.keys() & new.keys())
    diff = package_diff(before.packages, after.packages)
    return {
        "same": before.content_id == after.content_id,
        "actions": list(diff.actions),
        "added": [new[key].to_json() for key in sorted(new.keys() - old.keys())],
        "removed": [old[key].to_json() for key in sorted(old.keys() - new.keys())],
        "changed": [
            {"before": old[key].to_json(), "after": new[key].to_json()}
            for key in both
            if (old[key].version, old[key].build) != (new[key].version, new[key].build)
        ],
        "size_before": archive_size(before),
        "size_after": archive_size(after),
        "deployed_size_before": before.needs.size,
        "deployed_size_after": after.needs.size,
    }


def archive_size(manifest: Manifest) -> int:
    """Return the bytes of the archive as it crosses the gap."""
    return manifest.encodings[0].piece.size
