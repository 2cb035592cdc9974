# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What lies in a prefix and where its bytes come from, as conda-pack sees it.

conda-pack knows conda: which file belongs to which package, its placeholder, and where the package's own copy is.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER, Relocations

#: Marks of caches, locks, freezing and deployment speak of the prefix they lie in.
_STAYING_NAMES = (".conda_lock", "CACHEDIR.TAG", "EXTERNALLY-MANAGED", "__pycache__")
_STAYING_PATHS = ("conda-meta/frozen", "conda-meta/conda-unpacked", GENERATION_MARKER)


class Source(t.NamedTuple):
    """One file, link or empty directory to be packed."""

    #: Below the prefix.
    path: str
    #: Where its bytes are: the package cache for managed files, the prefix for others.
    origin: str
    #: Whether a conda package brought these bytes.
    managed: bool
    #: What the package says must be replaced by the prefix.
    relocations: Relocations = ()


def scan(prefix: str) -> list[Source]:
    """Return all to be packed from *prefix*, sorted by path; C(PackError) with conda-pack's reason if it refuses."""
    from conda_pack import CondaEnv, CondaPackException

    try:
        files = CondaEnv.from_prefix(prefix, on_missing_cache="raise").files
    except CondaPackException as error:
        raise PackError(f"{prefix} cannot be packed: {' '.join(str(error).split())}") from None
    sources = {file.target: _source(file, prefix) for file in files if _travels(file, prefix)}
    return sorted(sources.values(), key=lambda source: os.fsencode(source.path))


def _source(file: t.Any, prefix: str) -> Source:
    relocations: Relocations = ()
    if file.prefix_placeholder:
        relocations = ((file.prefix_placeholder, file.file_mode),)
    return Source(file.target, file.source, not _below(file.source, prefix), relocations)


def _travels(file: t.Any, prefix: str) -> bool:
    """Whether *file* is packed; bytecode that no package owns is made again on the host."""
    if file.target.endswith(".pyc") and "__pycache__/" in file.target:
        return not _below(file.source, prefix)
    return not stays(file.target)


def stays(path: str) -> bool:
    """Whether *path* is a mark of the builder's that is never packed."""
    return os.path.basename(path) in _STAYING_NAMES or path in _STAYING_PATHS


def _below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
