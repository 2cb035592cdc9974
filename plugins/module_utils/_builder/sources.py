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

from ansible_collections.airgap.conda.plugins.module_utils._builder.clobbers import KEPT_BELOW, settle
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import Record
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER, Relocations

#: Marks of caches, locks, freezing and deployment speak of the prefix they lie in.
_STAYING_NAMES = (".conda_lock", "CACHEDIR.TAG", "EXTERNALLY-MANAGED", "__pycache__")
_STAYING_PATHS = ("conda-meta/created_at", "conda-meta/frozen", "conda-meta/conda-unpacked", GENERATION_MARKER)


#: Directories at the top that conda-pack takes for parts of an installation of conda and passes over, though they hold
#: what pip or people put there.
_PASSED_OVER = ("users", "conda-recipes", "python.app", "Launcher.app")


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


class Scan(t.NamedTuple):
    """All that is to be packed, sorted by path."""

    sources: list[Source]
    #: By path of a record, the paths of its package where another package's file lies.
    lost: t.Mapping[str, set[str]]


def scan(prefix: str, records: t.Sequence[Record], digest_of: t.Callable[[str], str]) -> Scan:
    """Return what lies in *prefix*; C(PackError) with conda-pack's reason if it refuses."""
    from conda_pack import CondaEnv, CondaPackException

    try:
        files = CondaEnv.from_prefix(prefix, on_missing_cache="raise").files
    except CondaPackException as error:
        raise PackError(f"{prefix} cannot be packed: {' '.join(str(error).split())}") from None
    found: dict[str, list[Source]] = {path: [Source(path, full, False)] for path, full in _passed_over(prefix)}
    for file in files:
        if _travels(file, prefix):
            found.setdefault(file.target, []).append(_source(file, prefix))
    owners = {(record.data.get("link") or {}).get("source"): record for record in records}
    claims = {path: _claims(sources, owners) for path, sources in found.items() if len(sources) > 1}
    origins, lost = settle(prefix, {path: claimants for path, claimants in claims.items() if claimants}, digest_of)
    chosen = [
        next((source for source in sources if source.origin == origins.get(path)), sources[-1])
        for path, sources in found.items()
    ]
    return Scan(sorted(chosen, key=lambda source: os.fsencode(source.path)), lost)


def _claims(sources: t.Sequence[Source], owners: t.Mapping[t.Any, Record]) -> list[tuple[str, Record]]:
    """Return who brings a path: the packages below whose own copies the *sources* are."""
    return [
        (source.origin, record)
        for source in sources
        for package, record in owners.items()
        if package and _below(source.origin, package)
    ]


def _passed_over(prefix: str) -> t.Iterator[tuple[str, str]]:
    """Yield what conda-pack leaves out at the top, as it lists the rest: files, links, empty directories."""
    names = [name for name in os.listdir(prefix) if name in _PASSED_OVER or name.endswith("~")]
    for name in names:
        full = os.path.join(prefix, name)
        if os.path.islink(full) or not os.path.isdir(full):
            yield name, full
        for directory, below, files in os.walk(full):
            links = [entry for entry in below if os.path.islink(os.path.join(directory, entry))]
            leaves = [os.path.join(directory, entry) for entry in (*files, *links)]
            yield from ((os.path.relpath(leaf, prefix), leaf) for leaf in leaves or ([] if below else [directory]))


def _source(file: t.Any, prefix: str) -> Source:
    relocations: Relocations = ()
    if file.prefix_placeholder:
        relocations = ((file.prefix_placeholder, file.file_mode),)
    return Source(file.target, file.source, not _below(file.source, prefix), relocations)


def _travels(file: t.Any, prefix: str) -> bool:
    """Whether *file* is packed; bytecode that no package owns is made again on the host."""
    if file.target.endswith(".pyc") and "__pycache__/" in file.target:
        return not _below(file.source, prefix)
    if file.target.startswith(KEPT_BELOW):
        return False
    name = os.path.basename(file.target)
    return name not in _STAYING_NAMES and file.target not in _STAYING_PATHS


def _below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
