# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Read a bundle where it lies: what it is, whether it is whole, how it differs from another, and from its spec."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import (
    check_size,
    find_bundle,
    pieces,
    read_manifest,
    verify_piece,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.comparison import (
    archive_size,
    compare_files,
    compare_manifests,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    Entry,
    content_id_of,
    parse_files,
    unpack_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Manifest
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import listing


def read_bundle(path: str, verify: bool, other: t.Optional[str], spec_sha256: t.Optional[str]) -> dict[str, t.Any]:
    """Return the module's result; *other*: an earlier bundle to compare with."""
    directory = find_bundle(path)
    manifest = read_manifest(directory)
    for piece in pieces(manifest):
        (verify_piece if verify else check_size)(directory, piece)
    if verify:
        file_list(directory, manifest)
    result: dict[str, t.Any] = {
        "bundle": directory,
        "name": manifest.name,
        "label": manifest.label,
        "content_id": manifest.content_id,
        "created": manifest.created,
        "needs": manifest.needs._asdict(),
        "size": archive_size(manifest),
        "packages": [package.to_json() for package in manifest.packages],
        "verified": verify,
        "spec": spec_state(manifest, spec_sha256),
    }
    if other:
        result.update(_compared(directory, manifest, other))
    return result


def spec_state(manifest: Manifest, spec_sha256: t.Optional[str]) -> str:
    """Return whether the bundle was built from the spec with that digest: 'same', 'changed', 'unknown', or nothing."""
    if not spec_sha256:
        return ""
    if not manifest.spec_sha256:
        return "unknown"
    return "same" if manifest.spec_sha256 == spec_sha256 else "changed"


def file_list(directory: str, manifest: Manifest) -> list[Entry]:
    """Return the file list of the bundle in *directory*; C(BundleError) unless it is that of the content id."""
    path = os.path.join(directory, manifest.files.file)
    try:
        with open(path, "rb") as file:
            files = unpack_files(file.read())
        if content_id_of(files) != manifest.content_id:
            raise BundleError("the file list is not that of the content id; copy the bundle again")
        return parse_files(files)
    except OSError as error:
        raise BundleError(f"{path}: the file list cannot be read ({error}); copy the bundle again") from None
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None


def _compared(directory: str, manifest: Manifest, other: str) -> dict[str, t.Any]:
    earlier = find_bundle(other)
    before = read_manifest(earlier)
    files = compare_files(file_list(earlier, before), file_list(directory, manifest))
    comparison = {"bundle": earlier, **compare_manifests(before, manifest), "files": files._asdict()}
    diff = {
        "before_header": f"{before.label} (packages)",
        "after_header": f"{manifest.label} (packages)",
        "before": listing(before.packages),
        "after": listing(manifest.packages),
    }
    return {"comparison": comparison, "diff": diff}
