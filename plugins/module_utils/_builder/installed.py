# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The packages of an environment, conda's and pip's, read from its metadata."""

from __future__ import annotations

from ansible_collections.airgap.conda.plugins.module_utils._builder import conda_meta, pip
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import conda_package
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package


def installed_packages(prefix: str) -> tuple[Package, ...]:
    """Return the packages of *prefix*: those that conda knows there, and what pip installed beside them."""
    records = [record.data for record in conda_meta.read_records(prefix)]
    managed = {path for record in records for path in record.get("files", ())}
    return tuple(sorted([*map(conda_package, records), *pip.packages(prefix, managed)]))
