# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Write bundles and deltas to a medium, and take them off again; both go on where they were stopped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import (
    is_intact,
    pieces,
    place,
    point_at,
    read_manifest,
    verify_piece,
    write_report,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import DELTA_NAME, parse_delta
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import MANIFEST_NAME, Piece
from ansible_collections.airgap.conda.plugins.module_utils._model.medium import (
    BUNDLE,
    DELTA,
    INDEX_NAME,
    START,
    SUMS_NAME,
    File,
    Item,
    cut,
    name_faults,
    parse_index,
    parts_of,
    render_index,
    sums,
)

_CHUNK = 1 << 20
#: Of a part that is not complete.
_PARTIAL = ".partial"

README_NAME = "README.txt"
README = """\
This medium was written by airgap.conda, an Ansible collection that carries conda
environments to machines without a network.

1. Verify it, before anything on it is run. The sha256 of SHA256SUMS was shown when
   it was written; compare it with what came another way (paper, telephone):

       cd WHERE-THIS-MEDIUM-IS
       sha256sum SHA256SUMS
       sha256sum -c SHA256SUMS

   A line that does not say OK names what is damaged: write the medium again.

2. If this machine has no Ansible yet, and there is a directory start here:

       python3 -m venv ~/ansible
       ~/ansible/bin/pip install --no-index --find-links start ansible-core
       ~/ansible/bin/ansible-galaxy collection install --offline start/airgap-conda-*.tar.gz

3. Take the bundles off the medium, verified again, into a directory dist:

       cd
       ~/ansible/bin/ansible-playbook airgap.conda.import -e bundle_import_medium=WHERE-THIS-MEDIUM-IS

What is in parts (.001, .002, ...) is the parts one after the other: cat NAME.* > NAME
"""


class Source(t.NamedTuple):
    """A directory, or files, to be carried."""

    kind: str
    name: str
    #: By the name that they have there.
    files: t.Dict[str, str]


def source_of(directory: str) -> Source:
    """Return the bundle or the delta in *directory*, judged by sizes."""
    manifest = read_manifest(directory)
    if os.path.exists(os.path.join(directory, DELTA_NAME)):
        with open(os.path.join(directory, DELTA_NAME), "rb") as file:
            delta = parse_delta(file.read(), directory)
        names = [DELTA_NAME, MANIFEST_NAME, manifest.files.file, delta.encoding.piece.file]
        name = f"{manifest.label}.from-{delta.older[:12]}"
        return Source(DELTA, name, {each: os.path.join(directory, each) for each in names})
    if not is_intact(directory, manifest.label):
        raise BundleError(f"{directory} is not whole; copy the bundle again")
    names = [MANIFEST_NAME, *(piece.file for piece in pieces(manifest))]
    return Source(BUNDLE, manifest.label, {each: os.path.join(directory, each) for each in names})


def start_of(paths: t.Iterable[str]) -> Source:
    """Return the files at *paths*, and in directories there, as what a controller starts from."""
    files: dict[str, str] = {}
    for path in paths:
        listed = [os.path.join(path, name) for name in sorted(os.listdir(path))] if os.path.isdir(path) else [path]
        files.update({os.path.basename(each): each for each in listed if os.path.isfile(each)})
    return Source(START, START, files)


# --- writing --------------------------------------------------------------------------------------------------------


class Exported(t.NamedTuple):
    """What is on the medium now."""

    changed: t.List[str]
    #: sha256 (hex) of the list of checksums.
    checksum: str


def planned(sources: t.Sequence[Source], medium: str, part_size: int) -> list[str]:
    """Return what M(export) would write, judged by sizes."""
    found = []
    for source in sources:
        for name, _offset, size in _cuts(source, part_size):
            target = os.path.join(medium, _place(source), name)
            found += [] if _has_size(target, size) else [f"write {target}"]
    return found


def export(sources: t.Sequence[Source], medium: str, part_size: int, progress: Progress) -> Exported:
    """Write *sources* to the directory *medium*; what is there already, part by part, is not written again."""
    names = [f"{_place(source)}/{part}" for source in sources for part, *_rest in _cuts(source, part_size)]
    faults = name_faults(names)
    if faults:
        raise BundleError(f"{medium} cannot hold all of it: {'; '.join(faults)}")
    os.makedirs(medium, exist_ok=True)
    total, done, changed = sum(map(_size, sources)), 0, []
    items = []
    for source in sources:
        files = []
        for name, path in source.files.items():
            parts = []
            for part, offset, size in cut(name, os.path.getsize(path), part_size):
                target = os.path.join(medium, _place(source), part)
                piece, written = _write_part(path, offset, size, target)
                parts.append(piece)
                changed += [f"write {target}"] if written else []
                done += size
                progress.size("writing", done, total)
            files.append(File(name, os.path.getsize(path), tuple(parts)))
        items.append(Item(source.kind, source.name, tuple(files)))
    texts = {README_NAME: README.encode(), INDEX_NAME: render_index(items)}
    for name, text in texts.items():
        changed += _write_text(os.path.join(medium, name), text)
    listed = sums(items, [_piece(name, text) for name, text in texts.items()])
    # Last: with it the medium is complete.
    changed += _write_text(os.path.join(medium, SUMS_NAME), listed)
    return Exported(changed, hashlib.sha256(listed).hexdigest())


def _place(source: Source) -> str:
    return Item(source.kind, source.name, ()).directory


def _size(source: Source) -> int:
    return sum(os.path.getsize(path) for path in source.files.values())


def _cuts(source: Source, part_size: int) -> t.Iterator[tuple[str, int, int]]:
    for name, path in source.files.items():
        yield from cut(name, os.path.getsize(path), part_size)


def _write_part(path: str, offset: int, size: int, target: str) -> tuple[Piece, bool]:
    """Write a part of *path* to *target*, in one step; return what it is, and whether it was not there yet."""
    name = os.path.basename(target)
    if os.path.isfile(target) and os.path.getsize(target) == size:
        digest = digested(_slice(path, offset, size)).sha256
        if digested(_slice(target, 0, size)).sha256 == digest:
            return Piece(name, size, digest), False
    os.makedirs(os.path.dirname(target), exist_ok=True)
    written = hashlib.sha256()
    with open(target + _PARTIAL, "wb") as file:
        for chunk in _slice(path, offset, size):
            written.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    os.replace(target + _PARTIAL, target)
    return Piece(name, size, written.hexdigest()), True


def _write_text(path: str, text: bytes) -> list[str]:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        if file.read() == text:
            return []
    with open(path + _PARTIAL, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + _PARTIAL, path)
    return [f"write {path}"]


def _slice(path: str, offset: int, size: int) -> t.Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        while size:
            chunk = file.read(min(size, _CHUNK))
            if not chunk:
                raise BundleError(f"{path} became shorter while it was read")
            size -= len(chunk)
            yield chunk


# --- reading --------------------------------------------------------------------------------------------------------


def read_medium(medium: str) -> list[Item]:
    """Return what *medium* holds; C(BundleError) unless its index is there and every part, judged by sizes."""
    try:
        with open(os.path.join(medium, INDEX_NAME), "rb") as file:
            items = parse_index(file.read(), medium)
    except OSError as error:
        raise BundleError(f"{medium} was not written by bundle_export ({error.strerror}: {INDEX_NAME})") from None
    others = [_piece(name, _read(medium, name)) for name in (README_NAME, INDEX_NAME)]
    if _read(medium, SUMS_NAME) != sums(items, others):
        raise BundleError(f"{medium} is incomplete: the export did not come to its end; run it again")
    for item in items:
        for part in parts_of(item):
            path = os.path.join(medium, item.directory, part.file)
            if not os.path.isfile(path):
                raise BundleError(f"{path} is missing; write the medium again")
            if os.path.getsize(path) != part.size:
                raise BundleError(
                    f"{path} has {os.path.getsize(path)} bytes, and had {part.size} when it was written;"
                    " write the medium again"
                )
    return items


def _read(medium: str, name: str) -> bytes:
    with contextlib.suppress(FileNotFoundError), open(os.path.join(medium, name), "rb") as file:
        return file.read()
    return b""


def _piece(name: str, text: bytes) -> Piece:
    return Piece(name, len(text), hashlib.sha256(text).hexdigest())


def is_taken(item: Item, dist: str) -> bool:
    """Whether what *item* is lies whole in *dist*."""
    destination = os.path.join(dist, item.name)
    if item.kind == BUNDLE:
        return is_intact(destination, item.name)
    return all(_has_size(os.path.join(destination, file.name), file.size) for file in item.files)


def _has_size(path: str, size: int) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == size


def take(item: Item, medium: str, dist: str, progress: Progress) -> str:
    """Bring *item* from *medium* into *dist*, verified part by part; return where it is."""
    destination = os.path.join(dist, item.name)
    beside = os.path.join(dist, f".importing-{item.name}")
    os.makedirs(beside, exist_ok=True)
    total, done = sum(file.size for file in item.files), 0
    for file in item.files:
        path = os.path.join(beside, file.name)
        if not _has_size(path, file.size):
            with open(path + _PARTIAL, "wb") as target:
                for part in file.parts:
                    _copy_part(os.path.join(medium, item.directory, part.file), part, target)
                    done += part.size
                    progress.size(f"reading {item.name}", done, total)
            os.replace(path + _PARTIAL, path)
    if item.kind == BUNDLE:
        return _place_bundle(beside, destination, dist)
    for file in item.files:
        os.chmod(os.path.join(beside, file.name), 0o644)
    if os.path.lexists(destination):
        shutil.rmtree(destination)
    os.rename(beside, destination)
    os.chmod(destination, 0o755)
    return destination


def _place_bundle(beside: str, destination: str, dist: str) -> str:
    manifest = read_manifest(beside)
    try:
        for piece in pieces(manifest):
            verify_piece(beside, piece)
    except BundleError:
        # What an interrupted import left is read again.
        shutil.rmtree(beside)
        raise
    place(beside, destination)
    shutil.rmtree(beside)
    write_report(destination, manifest)
    point_at(dist, manifest)
    return destination


def _copy_part(path: str, part: Piece, target: t.BinaryIO) -> None:
    digest = hashlib.sha256()
    try:
        for chunk in _slice(path, 0, part.size):
            digest.update(chunk)
            target.write(chunk)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); write the medium again") from None
    if digest.hexdigest() != part.sha256:
        raise BundleError(f"{path} is damaged; write the medium again")
