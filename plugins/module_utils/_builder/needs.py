# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What an environment needs of a host, read from its packages and files: platform, glibc, CUDA, room for the prefix."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import Record
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import BINARY, FILE, PATH_MAX, Entry
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Needs
from ansible_collections.airgap.conda.plugins.module_utils._model.versions import newest, oldest

_LEAST = re.compile(r">=?\s*([0-9][0-9.]*)")
_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_")
#: The names of before PEP 600 (https://peps.python.org/pep-0600/#legacy-manylinux-tags).
_LEGACY = {"manylinux1_": "2.5", "manylinux2010_": "2.12", "manylinux2014_": "2.17"}

_BLOCK = 4096


def needs_of(entries: t.Sequence[Entry], records: t.Sequence[Record], wheels: t.Iterable[str], platform: str) -> Needs:
    """Return the needs of an environment of *entries*, with the packages of *records* and the WHEEL files *wheels*."""
    glibc = [least_virtual(records, "__glibc"), *map(least_glibc_of_wheel, wheels)]
    binary = [(len(old.encode()), each.path) for each in entries for old, mode in each.relocations if mode == BINARY]
    texts = [(not each.path.endswith(".py"), each.path) for each in entries if _quotes(each)]
    prefix_max, narrowest = min(binary, default=(PATH_MAX, ""))
    return Needs(
        platform=platform_of(records, platform),
        glibc=newest(filter(None, glibc)),
        cuda=least_virtual(records, "__cuda"),
        prefix_max=prefix_max,
        narrowest=_printable(narrowest),
        quoting=_printable(min(texts, default=(True, ""))[1]),
        size=sum(entry.size + -entry.size % _BLOCK for entry in entries),
        inodes=len(entries) + len({os.path.dirname(entry.path) for entry in entries}),
    )


def _printable(path: str) -> str:
    """Return *path* as it can be told: modules' results are UTF-8, names of files need not be."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _quotes(entry: Entry) -> bool:
    return entry.type == FILE and any(mode != BINARY for _old, mode in entry.relocations)


def platform_of(records: t.Iterable[Record], default: str) -> str:
    """Return the one platform of *records* (*default* when all are noarch)."""
    platforms = {record.data["subdir"] for record in records if record.data.get("subdir", "noarch") != "noarch"}
    if len(platforms) > 1:
        raise PackError(f"the environment mixes packages of {' and '.join(sorted(platforms))}; build it again")
    return str(platforms.pop()) if platforms else default


def least_virtual(records: t.Iterable[Record], name: str) -> str:
    """Return the least version of virtual package *name* (such as __glibc) that all *records* accept, or empty."""
    found = []
    for record in records:
        for depend in record.data.get("depends", ()):
            package, space, constraint = depend.partition(" ")
            if package == name and space:
                found += _LEAST.findall(constraint)
    return newest(found)


def least_glibc_of_wheel(wheel: str) -> str:
    """Return the glibc that a wheel's WHEEL file asks for by its manylinux tags, or empty."""
    tags = re.findall(r"^Tag:\s*(\S+)", wheel, re.MULTILINE)
    found = [f"{major}.{minor}" for tag in tags for major, minor in _MANYLINUX.findall(tag)]
    found += [version for tag in tags for legacy, version in _LEGACY.items() if legacy in tag]
    return oldest(found)
