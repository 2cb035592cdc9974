# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Defects of archives packed by hand: what each is called, and whether it is refused or only told. Pure."""

from __future__ import annotations

import base64
import csv
import json
import posixpath
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import editables
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError

#: How many paths a sentence names.
NAMED = 3

#: Refused: what would not work on a host, or would not be what was on the builder.
BUILDER = "builder"
PLACEHOLDER = "placeholder"
ALTERED = "altered"
REPLACED = "replaced"
EDITABLE = "editable"
TWICE = "twice"
#: Told: what may be meant so.
ABSENT = "absent"
OUTSIDE = "outside"
SET_UID = "set-uid"

REFUSED = {
    BUILDER: "files that nothing relocates name the builder's {prefix}: {paths}",
    PLACEHOLDER: "files carry a placeholder that no record names: {paths}",
    ALTERED: "files are not what conda's records say of them: {paths}",
    REPLACED: "files that pip replaced were packed as conda had them: {paths}",
    EDITABLE: "packages are installed from a directory of the builder: {paths}",
    TWICE: "paths are there twice, with different contents: {paths}",
}
TOLD = {
    ABSENT: "files of its packages are not in it: {paths}",
    OUTSIDE: "links lead to places that hosts may not have: {paths}",
    SET_UID: "set-uid and set-gid bits do not travel: {paths}",
}


class Defects:
    """What was found in one archive."""

    def __init__(self, archive: str, prefix: str) -> None:
        self._archive = archive
        self._prefix = prefix
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, path: str) -> None:
        """Take note of a defect at *path*."""
        self._found.setdefault(kind, []).append(path)

    def known(self, kind: str, path: str) -> bool:
        """Whether that defect was found at *path*."""
        return path in self._found.get(kind, ())

    def sentences(self, kinds: t.Mapping[str, str]) -> list[str]:
        """Return one sentence for each of *kinds* that was found."""
        found = [(sentence, self._found[kind]) for kind, sentence in kinds.items() if kind in self._found]
        return [sentence.format(prefix=self._prefix, paths=some(paths)) for sentence, paths in found]

    def refuse(self) -> None:
        """Raise C(BundleError) with all that keeps the archive from being deployed."""
        said = "; ".join(self.sentences(REFUSED))
        if said:
            raise BundleError(
                f"{self._archive} cannot be deployed: {said}. Pack the environment again, with airgap.conda.bundle"
            )

    def warnings(self) -> list[str]:
        """Return what people should know, in sentences."""
        return [f"{self._archive}: {sentence}" for sentence in self.sentences(TOLD)]


def some(paths: t.Collection[str]) -> str:
    """Return the first of *paths*, and how many more there are."""
    named = ", ".join(sorted(set(paths))[:NAMED])
    return named if len(set(paths)) <= NAMED else f"{named} and {len(set(paths)) - NAMED} more"


def is_editable(path: str, text: bytes, inside: t.Sequence[str]) -> bool:
    """Whether a C(.pth), C(.egg-link) or C(direct_url.json) leads to a directory that is in none of *inside*."""
    if path.endswith(".json"):
        try:
            return bool((json.loads(text).get("dir_info") or {}).get("editable"))
        except (ValueError, AttributeError, RecursionError):
            return False
    return all(editables.outside(text, prefix) for prefix in inside)


def stated_by_record(path: str, text: bytes) -> t.Iterator[tuple[str, str]]:
    """Yield each path below the prefix that the wheel's RECORD at *path* states, and its sha256 (as it is written)."""
    site = posixpath.dirname(posixpath.dirname(path))
    for row in csv.reader(text.decode("utf-8", "surrogateescape").splitlines()):
        if len(row) == 3 and row[1].startswith("sha256="):
            yield posixpath.normpath(posixpath.join(site, row[0])), row[1]


def in_record(sha256: str) -> str:
    """Return a digest (hex) as it is written in a wheel's RECORD."""
    return "sha256=" + base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
