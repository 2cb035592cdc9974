# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Fetch a bundle from a remote builder to the controller."""

from __future__ import annotations

import os
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import (
    is_intact,
    pieces,
    place,
    point_at,
    read_manifest,
    verify_piece,
    write_report,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import MANIFEST_NAME

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase


class Fetched(t.NamedTuple):
    """Where the bundle is now, and whether that is new."""

    directory: str
    changed: bool


def fetch_bundle(action: ActionBase, source: str, dist: str) -> Fetched:
    """Copy the bundle in directory *source* of the task's host into *dist*, verified, and point at it."""
    os.makedirs(dist, exist_ok=True)
    destination = os.path.join(dist, os.path.basename(source))
    if is_intact(destination, os.path.basename(source)):
        manifest = read_manifest(destination)
        reported = write_report(destination, manifest)
        return Fetched(destination, point_at(dist, manifest) or reported)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=dist) as directory:
        _fetch(action, source, directory, MANIFEST_NAME)
        manifest = read_manifest(directory)
        for piece in pieces(manifest):
            _fetch(action, source, directory, piece.file)
            verify_piece(directory, piece)
        write_report(directory, manifest)
        place(directory, destination)
    point_at(dist, manifest)
    return Fetched(destination, True)


def _fetch(action: ActionBase, source: str, directory: str, name: str) -> None:
    action._connection.fetch_file(os.path.join(source, name), os.path.join(directory, name))
