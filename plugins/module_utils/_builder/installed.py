# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The packages of an environment, conda's and pip's, read from its metadata."""

from __future__ import annotations

import email.parser
import glob
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import canonical
from ansible_collections.airgap.conda.plugins.module_utils._builder.sources import Record
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import CONDA, PIP, Package


def installed_packages(prefix: str, records: t.Sequence[Record]) -> tuple[Package, ...]:
    """Return the packages of *prefix*: those of its conda *records*, and each distribution that none of them owns."""
    owned = {path for record in records for path in record.data.get("files", ())}
    pip = [
        _distribution(path)
        for path in glob.glob(f"{glob.escape(prefix)}/lib/python*/site-packages/*.dist-info/METADATA")
        if os.path.relpath(path, prefix) not in owned
    ]
    return tuple(sorted([*map(_conda_package, records), *pip]))


def _conda_package(record: Record) -> Package:
    data = record.data
    return Package(
        name=data["name"],
        version=data["version"],
        build=data.get("build", ""),
        channel=canonical.channel(data.get("channel") or ""),
        manager=CONDA,
        licence=data.get("license") or "",
    )


def _distribution(metadata: str) -> Package:
    with open(metadata, encoding="utf-8", errors="replace") as file:
        headers = email.parser.HeaderParser().parse(file)
    licence = headers.get("License-Expression") or headers.get("License") or ""
    return Package(
        name=headers["Name"] or "",
        version=headers["Version"] or "",
        manager=PIP,
        # Some packages put the whole text there.
        licence=licence.splitlines()[0] if licence else "",
    )
