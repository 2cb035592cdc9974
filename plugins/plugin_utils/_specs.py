# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The user's spec and the files that it includes, which are on the controller wherever the builder is."""

from __future__ import annotations

import hashlib

from ansible_collections.airgap.conda.plugins.module_utils._builder.requirements import requirement_files
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec_file import decoded, parse_spec
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError


def read_spec(path: str) -> str:
    """Return the text of the spec *path*."""
    return decoded(_bytes(path), path)


def digest_of_spec(path: str) -> str:
    """Return the sha256 (hex) of the spec *path*, by which a bundle names what it was built from."""
    return hashlib.sha256(_bytes(path)).hexdigest()


def included_files(text: str, path: str) -> dict[str, str]:
    """Return by path the texts of the files that the pip section of the spec *path* includes, for any platform."""
    found: dict[str, str] = {}

    def kept(name: str) -> str:
        with open(name, "rb") as file:
            found[name] = decoded(file.read(), name)
        return found[name]

    requirement_files(parse_spec(text, path, None).pip, path, kept)
    return found


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from error
