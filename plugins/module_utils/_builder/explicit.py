# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Explicit lists: C(@EXPLICIT), then the address of every package, as C(conda list --explicit) writes them."""

from __future__ import annotations

import re

from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import artifact, is_artifact
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import Item, Spec
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

#: How conda-lock writes pip's requirements, which conda takes for comments.
_PIP = re.compile(r"#\s*pip\s+(\S.*)")
_PLATFORM = re.compile(r"#\s*platform:\s*(\S+)")


def is_explicit(text: str) -> bool:
    """Whether *text* is an explicit list and no YAML."""
    return any(line.strip() == "@EXPLICIT" for line in text.splitlines())


def parse(text: str, path: str, platform: str | None) -> Spec:
    """Read the *text* of the list *path*; one that says it is for another than *platform* is refused."""
    stated = _PLATFORM.search(text)
    if platform and stated and stated[1] != platform:
        raise SpecError(f"{path}: is a list for {stated[1]}, and the hosts are {platform}; name the one for {platform}")
    packages: list[Item] = []
    pip: list[Item] = []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        requirement = _PIP.fullmatch(line)
        if requirement:
            pip.append(Item(requirement[1], number))
        elif line and line != "@EXPLICIT" and not line.startswith("#"):
            packages.append(Item(_package(line, f"{path}:{number}"), number))
    if not packages:
        raise SpecError(f"{path}: names no dependencies")
    return Spec(origin=path, dependencies=tuple(packages), pip=tuple(pip), explicit=True)


def _package(line: str, place: str) -> str:
    if not is_artifact(line):
        raise SpecError(f"{place}: {mask(line)!r} is not the address of a package, as lines of an explicit list are")
    try:
        artifact(line, "/")
    except SpecError as error:
        raise SpecError(f"{place}: {error}") from None
    return line
