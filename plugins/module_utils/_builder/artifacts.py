# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Conda packages that are named by file or address instead of by what they are."""

from __future__ import annotations

import os
import re
import typing as t
import urllib.parse

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

#: conda's name for the channel of a package that came from none.
NO_CHANNEL = "<unknown>"
#: The directories of a channel.
SUBDIR = re.compile(r"noarch|(?:linux|osx|win|freebsd|emscripten|wasi|zos)-\w+")

_FILE = re.compile(
    r"(?P<place>.*[/\\])?(?P<name>[^/\\#\s]+)-(?P<version>[^/\\#\s-]+)-(?P<build>[^/\\#\s-]+)\.(?:conda|tar\.bz2)"
)
_ENDS = re.compile(r"\.(conda|tar\.bz2)(#\S*)?$")
_DIGEST = re.compile(r"(?P<md5>[0-9a-f]{32})|(?:sha256:)?(?P<sha256>[0-9a-f]{64})|", re.IGNORECASE)
_ADDRESS = re.compile(r"(https?|file)://", re.IGNORECASE)


class Artifact(t.NamedTuple):
    """One conda package at an address; the digests are empty where none was given."""

    url: str
    name: str
    version: str
    build: str
    md5: str = ""
    sha256: str = ""

    @property
    def spec(self) -> str:
        """What asks for it by name."""
        return f"{self.name}=={self.version}={self.build}"

    @property
    def path(self) -> str | None:
        """Where it is on this machine, if it is."""
        parts = urllib.parse.urlsplit(self.url)
        return urllib.parse.unquote(parts.path) if parts.scheme == "file" else None

    @property
    def channel(self) -> str:
        """The address of the channel it lies in, by conda's layout; of a file by itself what conda then says."""
        place = self.url.rpartition("/")[0]
        above, _slash, subdir = place.rpartition("/")
        if SUBDIR.fullmatch(subdir):
            return above
        return NO_CHANNEL if self.path else place


def is_artifact(dependency: str) -> bool:
    """Whether *dependency* names a package's file, with or without a digest behind it."""
    return bool(_ENDS.search(dependency)) and "::" not in dependency


def artifact(dependency: str, directory: str) -> Artifact:
    """Read an address or a path, which starts at *directory*, with C(#md5) or C(#sha256) behind it or not."""
    where, _hash, stated = dependency.strip().partition("#")
    named, digest = _FILE.fullmatch(where), _DIGEST.fullmatch(stated)
    if not named:
        raise SpecError(f"{mask(where)!r} has no name of a conda package: <name>-<version>-<build>.conda or .tar.bz2")
    if not digest:
        raise SpecError(f"{mask(where)}: {stated!r} is neither an md5 nor a sha256")
    if "://" in where and not _ADDRESS.match(where):
        raise SpecError(f"{mask(where)!r} is no address of a package; use https://, http:// or file://")
    return Artifact(
        url=where if "://" in where else _file_url(where, directory),
        name=named["name"].lower(),
        version=named["version"],
        build=named["build"],
        md5=(digest["md5"] or "").lower(),
        sha256=(digest["sha256"] or "").lower(),
    )


def _file_url(path: str, directory: str) -> str:
    return f"file://{urllib.parse.quote(os.path.normpath(os.path.join(directory, os.path.expanduser(path))))}"
