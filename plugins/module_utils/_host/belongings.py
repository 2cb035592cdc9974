# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Belongings: which package brought files that no receipt knows."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.belongings import grouped, is_record, parse_record


def brought_by(prefix: str, unexpected: t.Collection[str]) -> list[str]:
    """Return who brought the files *unexpected* below *prefix*: packages as their records say, then single paths."""
    records = {}
    for path in filter(is_record, unexpected):
        # Whoever is installing there has not come to its end yet.
        with contextlib.suppress(OSError), open(os.path.join(prefix, path), "rb") as file:
            records[path] = parse_record(path, file.read())
    return grouped(unexpected, records)
