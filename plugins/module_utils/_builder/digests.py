# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Digests of what a spec names by path, so that changed content is a changed input."""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested, read
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

#: What building a source tree leaves in it, and what is no source.
_BESIDE = re.compile(r"build|dist|\..*|__pycache__|.*\.egg-info|.*\.py[co]")


def digest(path: str) -> str:
    """Return the sha256 of a file; of a directory that of the names and digests of the sources below it."""
    try:
        if not os.path.isdir(path):
            return _file(path)
        total = hashlib.sha256()
        for below in sorted(_sources(path)):
            total.update(f"{below}\0{_file(os.path.join(path, below))}\n".encode("utf-8", "surrogateescape"))
        return total.hexdigest()
    except OSError as error:
        raise SpecError(f"{error.filename or path} cannot be read: {error.strerror}") from None


def _file(path: str) -> str:
    return digested(read(os.path.realpath(path))).sha256


def _sources(top: str) -> t.Iterator[str]:
    for directory, below, names in os.walk(top):
        below[:] = [name for name in below if not _BESIDE.fullmatch(name)]
        paths = (os.path.join(directory, name) for name in names if not _BESIDE.fullmatch(name))
        yield from (os.path.relpath(path, top) for path in paths if os.path.isfile(path))
