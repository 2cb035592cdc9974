# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What the user's file asks for, as data."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import artifact, is_artifact
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_PACKAGE = re.compile(r"[A-Za-z0-9_.-]+")


class Item(t.NamedTuple):
    """Something that was asked for, as typed, and the line of the file it is on."""

    text: str
    line: int


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a file asks for, as typed."""

    name: str | None = None
    #: Where the name is, for messages.
    origin: str = ""
    channels: tuple[str, ...] = ()
    dependencies: tuple[Item, ...] = ()
    pip: tuple[Item, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    #: Whether the dependencies are every package there shall be, and nothing is to be solved.
    explicit: bool = False

    @property
    def names_pip(self) -> bool:
        return any(package_name(dependency.text) == "pip" for dependency in self.dependencies)


def package_name(dependency: str) -> str:
    """Return the name of the package a conda dependency asks for, in lower case; empty where it names none."""
    if is_artifact(dependency):
        return artifact(dependency, "/").name
    found = _PACKAGE.match(dependency.rpartition("::")[2].strip())
    return found[0].lower() if found else ""


def environment_name(name: str | None, origin: str) -> str:
    """Return *name* if it can be a directory's name on every host; *origin* says where it was read."""
    if not name:
        raise SpecError(f"{origin}: the environment has no name; add `name:` to the file or set the option name")
    if not _NAME.fullmatch(name):
        raise SpecError(f"{origin}: {name!r} cannot name a directory; use letters, digits and _ . + -")
    if name in ("base", "root"):
        raise SpecError(f"{origin}: {name!r} is conda's own environment on the hosts; choose another name")
    return name
