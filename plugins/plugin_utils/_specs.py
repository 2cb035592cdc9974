# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Specs on the controller."""

from __future__ import annotations

import hashlib

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError


def digest_of_spec(path: str) -> str:
    """Return the sha256 (hex) of the spec at *path*, by which a bundle names what it was built from."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise SpecError(f"cannot read the spec {path}: {error.strerror}") from None
