# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Fetch a bundle from a remote builder to the controller."""

from __future__ import annotations

import contextlib
import os
import secrets
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
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import MANIFEST_NAME

if t.TYPE_CHECKING:
    from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction


class Fetched(t.NamedTuple):
    """Where the bundle is now, and whether that is new."""

    directory: str
    changed: bool


def fetch_bundle(action: AirgapAction, source: str, dist: str, task_vars: dict[str, t.Any]) -> Fetched:
    """Copy the bundle in directory *source* of the task's host into *dist*, verified, and point at it."""
    os.makedirs(dist, exist_ok=True)
    label = os.path.basename(source)
    destination = os.path.join(dist, label)
    if is_intact(destination, label):
        manifest = read_manifest(destination)
        reported = write_report(destination, manifest)
        return Fetched(destination, point_at(dist, manifest) or reported)
    beside = tempfile.TemporaryDirectory(prefix=".fetching-", dir=dist)
    with beside as directory, _giver(action, source, task_vars) as give:
        give(MANIFEST_NAME, directory)
        manifest = read_manifest(directory)
        for piece in pieces(manifest):
            give(piece.file, directory)
            verify_piece(directory, piece)
        write_report(directory, manifest)
        place(directory, destination)
    point_at(dist, manifest)
    return Fetched(destination, True)


@contextlib.contextmanager
def _giver(action: AirgapAction, source: str, task_vars: dict[str, t.Any]) -> t.Iterator[t.Callable[[str, str], None]]:
    """Yield what brings a file of *source*, by name, to a directory here.

    Files are read by the user of the connection, who may not read what belongs to the one that tasks become.
    """

    def give(name: str, directory: str, place: str = source) -> None:
        action._connection.fetch_file(os.path.join(place, name), os.path.join(directory, name))

    if not action.becomes:
        yield give
        return
    # The name is the key: others may enter the directory, not list it.
    between = f"/var/tmp/airgap-{secrets.token_hex(16)}"

    def give_copy(name: str, directory: str) -> None:
        file = {"src": os.path.join(source, name), "dest": os.path.join(between, name), "mode": "0644"}
        _run(action, "ansible.builtin.copy", {**file, "remote_src": True}, task_vars)
        give(name, directory, between)

    _run(action, "ansible.builtin.file", {"path": between, "state": "directory", "mode": "0711"}, task_vars)
    try:
        yield give_copy
    finally:
        _run(action, "ansible.builtin.file", {"path": between, "state": "absent"}, task_vars)


def _run(action: AirgapAction, module: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> None:
    result = action._execute_module(module_name=module, module_args=arguments, task_vars=task_vars)
    if result.get("failed"):
        raise BundleError(f"the builder cannot hand the bundle over: {result.get('msg')}")
