# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Paths that several conda packages bring: one package's file is there, the others lost theirs.

rattler notes that: the record of one who lost names its file elsewhere. conda lets each record name the path.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import Fields, Record

#: Where rattler keeps what was lost.
KEPT_BELOW = "__clobbers__/"

#: By path below the prefix: where the package's own copy is, and the record of the package.
Claims = t.Mapping[str, t.Sequence[t.Tuple[str, Record]]]


class Settled(t.NamedTuple):
    """Who has the paths that several claim."""

    #: By path, where the bytes are that lie there.
    origins: dict[str, str]
    #: By path of a record, the paths that it may name no more.
    lost: dict[str, set[str]]


def settle(prefix: str, claims: Claims, digest_of: t.Callable[[str], str]) -> Settled:
    """Return whose file lies at each path of *claims*; where that cannot be told, the first one's."""
    settled = Settled({}, {})
    for path, claimants in claims.items():
        naming = [(origin, record) for origin, record in claimants if path in record.data.get("files", ())]
        there = naming[:1] or list(claimants[:1])
        if len(naming) > 1:
            found = digest_of(os.path.join(prefix, path))
            there = [claim for claim in naming if _stated(claim[1].data, path) == found][-1:] or there
        settled.origins[path] = there[0][0]
        for _origin, record in claimants:
            if record.path != there[0][1].path:
                settled.lost.setdefault(record.path, set()).add(path)
    return settled


def _stated(record: Fields, path: str) -> str:
    for stated in (record.get("paths_data") or {}).get("paths", ()):
        if stated["_path"] == path:
            return str(stated.get("sha256_in_prefix") or stated.get("sha256") or "")
    return ""
