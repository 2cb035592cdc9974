# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Ownership: which package each path of a tree belongs to, as the records in the tree say. Pure.

A receipt notes it while the tree is as it was made. Later, records may have been edited or be gone: they explain what
has come since, and decide nothing.
"""

from __future__ import annotations

import collections
import csv
import json
import posixpath
import re
import typing as t
from types import MappingProxyType

from ansible_collections.airgap.conda.plugins.module_utils._model.files import parents
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import CONDA, PIP

_CONDA_RECORD = re.compile(r"conda-meta/(?P<name>[^/]+)-(?P<version>[^/-]+)-(?P<build>[^/-]+)\.json")
_DIST_INFO = re.compile(r"(?P<site>(.+/)?)(?P<name>[^/]+?)-(?P<version>[^/-]+)\.(dist|egg)-info(?=/|$)", re.DOTALL)
#: Where files of many packages lie side by side, so that a directory says nothing of its files.
_SHARED = re.compile(r"|bin|lib|include|share|etc|conda-meta|(.+/)?(site-packages|__pycache__|man|man\d|doc|jupyter)")
#: What a program that installs calls itself, in INSTALLER.
_INSTALLER = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class Claim(t.NamedTuple):
    """What one record says: a package, and the paths it claims."""

    name: str
    version: str
    #: 'conda' or 'pip'.
    manager: str
    #: Who installed it: 'conda', 'pip', 'uv', …; empty if it is not said.
    installer: str
    #: Path of the record; of pip's its dist-info directory.
    record: str
    paths: t.Tuple[str, ...] = ()


def canonical(name: str) -> str:
    """Return the form of *name* that both package managers' names are compared in."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named_by(path: str) -> Claim | None:
    """Return the package that the name of a record, or of what is beside it, states by itself."""
    match = _CONDA_RECORD.fullmatch(path)
    if match:
        return Claim(canonical(match["name"]), match["version"], CONDA, CONDA, path)
    match = _DIST_INFO.match(path)
    if match:
        return Claim(canonical(match["name"]), match["version"], PIP, "", path[: match.end()])
    return None


def is_record(path: str) -> bool:
    """Whether the file at *path* says what a package brought."""
    return bool(_CONDA_RECORD.fullmatch(path)) or path.endswith(".dist-info/RECORD")


def claim_of(path: str, text: bytes) -> Claim | None:
    """Return what the record *text* at *path* says, of conda or of a wheel."""
    return conda_claim(path, text) if path.endswith(".json") else wheel_claim(posixpath.dirname(path), text, b"")


def conda_claim(path: str, text: bytes) -> Claim | None:
    """Return what the conda-meta record *text* at *path* says; without paths when it is damaged."""
    named = named_by(path)
    if named is None:
        return None
    try:
        files = json.loads(text)["files"]
        return named._replace(paths=tuple(str(name) for name in files))
    except (ValueError, KeyError, TypeError):
        return named


def wheel_claim(dist_info: str, record: bytes, installer: bytes) -> Claim | None:
    """Return what the RECORD of a wheel says, whose directory is *dist_info*."""
    named = named_by(dist_info)
    if named is None:
        return None
    site = posixpath.dirname(dist_info)
    lines = record.decode("utf-8", "surrogateescape").splitlines()
    try:
        paths = tuple(posixpath.normpath(posixpath.join(site, row[0])) for row in csv.reader(lines) if row)
    except csv.Error:
        paths = ()
    said = installer.decode("ascii", "replace").strip()
    return named._replace(paths=paths, installer=said if _INSTALLER.fullmatch(said) else "")


def grouped(paths: t.Collection[str], claims: t.Iterable[Claim]) -> list[str]:
    """Return *paths* in words: each package of *claims* with how many of them it brought, then what is of none."""
    left, words = set(paths), []
    for claim in sorted(claims, key=lambda each: each.record):
        beside = {path for path in left if path == claim.record or path.startswith(f"{claim.record}/")}
        brought = left.intersection(claim.paths) | beside
        left -= brought
        if brought:
            files = "1 file" if len(brought) == 1 else f"{len(brought)} files"
            words.append(f"{claim.name} {claim.version} of {claim.manager} ({files})")
    return [*words, *sorted(left)]


class Ownership:
    """Who owns which path: what was *noted* of it, else what claims say.

    Those of conda come first, as its packages hold dist-infos too.
    """

    def __init__(self, claims: t.Iterable[Claim], noted: t.Mapping[str, str] = MappingProxyType({})) -> None:
        self.claims = sorted(claims, key=lambda claim: (claim.manager != CONDA, claim.record))
        self._owners = {path: name for path, name in noted.items() if name}
        #: How many of the noted paths each package has.
        self.sizes: t.Mapping[str, int] = collections.Counter(self._owners.values())
        for claim in self.claims:
            for path in (claim.record, *claim.paths):
                self._owners.setdefault(path, claim.name)
        self._above = self._of_directories()

    def _of_directories(self) -> dict[str, str]:
        """Return the one owner of all that is below each directory that has one."""
        below: dict[str, set[str]] = collections.defaultdict(set)
        for path, owner in self._owners.items():
            for parent in parents(path):
                below[parent].add(owner)
        return {path: next(iter(names)) for path, names in below.items() if len(names) == 1}

    def owner(self, path: str) -> str:
        """Return the name of the package that *path* belongs to, empty if none can be told."""
        found = self._owners.get(path) or self._owner_of_cache(path)
        if found:
            return found
        named = named_by(path)
        if named:
            return named.name
        for parent in parents(path):
            if _SHARED.fullmatch(parent):
                break
            if parent in self._above:
                return self._above[parent]
        return ""

    def _owner_of_cache(self, path: str) -> str:
        directory, name = posixpath.split(path)
        above = posixpath.dirname(directory)
        if posixpath.basename(directory) != "__pycache__":
            return ""
        return self._owners.get(posixpath.join(above, name.split(".")[0] + ".py"), "")
