# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Make the delta of two bundles, and the newer bundle of the older one and the delta: the same tar, byte for byte."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.archive import ArchiveWriter
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import (
    is_intact,
    place,
    point_at,
    read_manifest,
    verify_piece,
    write_report,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_reading import file_list
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import DAMAGED, ZSTD, decoded
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import members
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import (
    DELTA_NAME,
    Delta,
    lacking,
    origins,
    parse_delta,
    render_delta,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import FILE, Entry
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import (
    MANIFEST_NAME,
    Encoding,
    Manifest,
    render_manifest,
)

_CHUNK = 1 << 20
_ARCHIVE_NAME = "delta.tar.zst"

Chunks = t.Iterable[bytes]


class Side(t.NamedTuple):
    """One of the two bundles."""

    directory: str
    manifest: Manifest
    entries: t.List[Entry]

    @property
    def archive(self) -> str:
        """Path of its archive."""
        return os.path.join(self.directory, self.manifest.encodings[0].piece.file)


def read_side(directory: str) -> Side:
    """Return the bundle in *directory*; its archive is not read."""
    manifest = read_manifest(directory)
    return Side(directory, manifest, file_list(directory, manifest))


# --- making ---------------------------------------------------------------------------------------------------------


def delta_directory(dist: str, older: Manifest, newer: Manifest) -> str:
    """Return where the delta between two bundles lies."""
    return os.path.join(dist, f"{newer.label}.from-{older.content_id[:12]}")


def is_made(directory: str, older: Manifest, newer: Manifest) -> bool:
    """Whether the delta lies whole in *directory*, judged by sizes."""
    try:
        delta = read_delta(directory)
        piece = delta.encoding.piece
        size = os.path.getsize(os.path.join(directory, piece.file))
    except (BundleError, OSError):
        return False
    return (delta.older, delta.newer, size) == (older.content_id, newer.content_id, piece.size)


def make_delta(older: Side, newer: Side, dist: str) -> Delta:
    """Write the delta from *older* to *newer* into C(delta_directory), verified; nothing half-made is left."""
    destination = delta_directory(dist, older.manifest, newer.manifest)
    verify_piece(newer.directory, newer.manifest.encodings[0].piece)
    wanted = {entry.path for entry in lacking(older.entries, newer.entries)} | set(newer.manifest.carriers)
    os.makedirs(dist, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".delta-", dir=dist) as directory:
        encoding = write_part(newer, wanted, os.path.join(directory, _ARCHIVE_NAME))
        for name in (MANIFEST_NAME, newer.manifest.files.file):
            shutil.copyfile(os.path.join(newer.directory, name), os.path.join(directory, name))
        delta = Delta(older.manifest.content_id, newer.manifest.content_id, encoding)
        with open(os.path.join(directory, DELTA_NAME), "xb") as file:
            file.write(render_delta(delta))
        _put(directory, destination)
    return delta


def _put(directory: str, destination: str) -> None:
    os.chmod(directory, 0o755)
    for name in os.listdir(directory):
        os.chmod(os.path.join(directory, name), 0o644)
    if os.path.lexists(destination):
        shutil.rmtree(destination)
    os.rename(directory, destination)
    # Its clean-up wants something to remove.
    os.mkdir(directory)


def write_part(newer: Side, wanted: t.Container[str], path: str, codec: str = ZSTD) -> Encoding:
    """Write those members of *newer*'s archive that are *wanted* to an archive of their own, as they are there."""
    entries = {entry.path: entry for entry in newer.entries}
    writer = ArchiveWriter(path, codec)
    try:
        with _opened(newer.archive, newer.manifest.encodings[0].codec) as found:
            for name, mode, size, data in found:
                if name in wanted:
                    writer.add(entries.get(name) or Entry(name, FILE, mode, size), data)
        return writer.close()
    except BaseException:
        writer.abandon()
        raise


@contextlib.contextmanager
def _opened(path: str, codec: str) -> t.Iterator[t.Iterator[tuple[str, int, int, Chunks]]]:
    """Yield what yields the members of an archive: name, mode, size and bytes."""
    with open(path, "rb") as file, decoded(codec, file) as tar:

        def found() -> t.Iterator[tuple[str, int, int, Chunks]]:
            try:
                for member, data in members(tar):
                    yield member.name.rstrip("/"), member.mode, member.size, data
            except DAMAGED as error:
                raise BundleError(f"{path} is damaged ({error}); copy the bundle again") from None

        yield found()


# --- applying -------------------------------------------------------------------------------------------------------


def read_delta(directory: str) -> Delta:
    """Return C(delta.json) of *directory*; C(BundleError) when it is no delta that can be used."""
    try:
        with open(os.path.join(directory, DELTA_NAME), "rb") as file:
            return parse_delta(file.read(), directory)
    except OSError as error:
        raise BundleError(f"{directory} is not a delta ({error.strerror}: {DELTA_NAME})") from None


def read_older(delta_dir: str, candidates: t.Iterable[str]) -> str:
    """Return the one of the bundles in directories *candidates* that the delta was made for."""
    delta = read_delta(delta_dir)
    for directory in candidates:
        with contextlib.suppress(BundleError):
            if read_manifest(directory).content_id == delta.older:
                return directory
    raise BundleError(f"there is no bundle {delta.older[:12]}, for which {delta_dir} was made; carry the whole bundle")


class Applied(t.NamedTuple):
    """What came of a delta."""

    directory: str
    changed: bool
    #: Whether the archive, too, is byte for byte the builder's, and with it the manifest.
    identical: bool


def target_of(delta_dir: str, dist: str) -> str | None:
    """Return where the newer bundle is to lie, or None when it lies there whole already."""
    manifest = read_manifest(delta_dir)
    destination = os.path.join(dist, manifest.label)
    return None if is_intact(destination, manifest.label) else destination


def apply_delta(older: Side, delta_dir: str, dist: str) -> Applied:
    """Make the newer bundle of *older* and the delta, verified; its tar is the builder's byte for byte."""
    delta = read_delta(delta_dir)
    if delta.older != older.manifest.content_id:
        raise BundleError(
            f"{delta_dir} is for {delta.older[:12]}, and {older.directory} is {older.manifest.content_id[:12]};"
            " give the bundle it was made for"
        )
    newer = read_side(delta_dir)
    if delta.newer != newer.manifest.content_id:
        raise BundleError(f"{delta_dir}: the delta is damaged (its manifest is of another bundle); copy it again")
    destination = os.path.join(dist, newer.manifest.label)
    if is_intact(destination, newer.manifest.label):
        manifest = read_manifest(destination)
        return Applied(destination, point_at(dist, manifest), manifest == newer.manifest)
    verify_piece(delta_dir, delta.encoding.piece)
    verify_piece(older.directory, older.manifest.encodings[0].piece)
    os.makedirs(dist, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".applying-", dir=dist) as directory:
        part = os.path.join(delta_dir, delta.encoding.piece.file)
        made = _rebuild(older, newer, part, delta.encoding.codec, directory)
        identical = made == newer.manifest.encodings[0]
        manifest = newer.manifest if identical else newer.manifest._replace(encodings=(made,))
        files = newer.manifest.files.file
        shutil.copyfile(os.path.join(delta_dir, files), os.path.join(directory, files))
        with open(os.path.join(directory, MANIFEST_NAME), "xb") as file:
            file.write(render_manifest(manifest))
        place(directory, destination)
    write_report(destination, manifest)
    point_at(dist, manifest)
    return Applied(destination, True, identical)


def _rebuild(older: Side, newer: Side, part: str, codec: str, directory: str) -> Encoding:
    """Write the newer archive into *directory*; C(BundleError) unless its tar is what the manifest says."""
    found = origins(older.entries, newer.entries)
    moved = {source for path, source in found.items() if source != path}
    writer = ArchiveWriter(os.path.join(directory, newer.manifest.encodings[0].piece.file))
    try:
        with contextlib.ExitStack() as stack:
            spool = stack.enter_context(tempfile.TemporaryDirectory(dir=directory))
            kept = _keep(older, moved, spool) if moved else {}
            had = stack.enter_context(_opened(older.archive, older.manifest.encodings[0].codec))
            brought = stack.enter_context(_opened(part, codec))
            for entry in newer.entries:
                source = found.get(entry.path)
                if source is None:
                    _name, _mode, _size, data = _seek(brought, entry.path, part)
                elif source == entry.path:
                    _name, _mode, _size, data = _seek(had, source, older.archive)
                else:
                    data = _read(kept[source])
                writer.add(entry, data)
            for carrier in newer.manifest.carriers:
                _name, mode, size, data = _seek(brought, carrier, part)
                writer.add(Entry(carrier, FILE, mode, size), data)
        encoding = writer.close()
    except BaseException:
        writer.abandon()
        raise
    if writer.tar_sha256.hexdigest() != newer.manifest.tar_sha256:
        raise BundleError(f"{part} does not give {newer.manifest.label} back; carry the whole bundle")
    return encoding


def _seek(found: t.Iterator[tuple[str, int, int, Chunks]], name: str, path: str) -> tuple[str, int, int, Chunks]:
    """Return the member *name*, which comes after those that were taken before."""
    for member in itertools.dropwhile(lambda each: each[0] != name, found):
        return member
    raise BundleError(f"{path} lacks {name}, which its file list names; copy it again")


def _keep(older: Side, wanted: t.Container[str], directory: str) -> dict[str, str]:
    """Put the contents that move into files of *directory*, as the archive cannot be read backwards."""
    kept: dict[str, str] = {}
    with _opened(older.archive, older.manifest.encodings[0].codec) as found:
        for name, _mode, _size, data in found:
            if name in wanted:
                kept[name] = os.path.join(directory, str(len(kept)))
                with open(kept[name], "xb") as file:
                    file.writelines(data)
    return kept


def _read(path: str) -> Chunks:
    with open(path, "rb") as file:
        yield from iter(lambda: file.read(_CHUNK), b"")
