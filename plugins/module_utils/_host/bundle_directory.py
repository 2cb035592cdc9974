# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The directory of a bundle: read, verified, put in its place whole, and pointed at."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested, read
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.licenses import REPORT_NAME, render_report
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import (
    MANIFEST_NAME,
    SIZE_MAX,
    Manifest,
    Piece,
    parse_manifest,
)


def find_bundle(path: str) -> str:
    """Return the directory of the bundle at *path*: itself, or the one that C(<path>.latest) names."""
    if not os.path.isdir(path) and os.path.isfile(path + ".latest"):
        with open(path + ".latest", encoding="utf-8") as file:
            return os.path.join(os.path.dirname(path), file.read().strip())
    return path


def pieces(manifest: Manifest) -> tuple[Piece, ...]:
    """Return every file beside the manifest."""
    return (manifest.files, *(encoding.piece for encoding in manifest.encodings))


def check_size(directory: str, piece: Piece) -> None:
    """Raise C(BundleError) unless *piece* in *directory* is as long as the manifest says."""
    path = os.path.join(directory, piece.file)
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); copy the bundle again") from None
    if size != piece.size:
        raise BundleError(f"{path} has {size} bytes, the manifest says {piece.size}; copy the bundle again")


def verify_piece(directory: str, piece: Piece) -> None:
    """Raise C(BundleError) unless *piece* in *directory* is what the manifest says."""
    check_size(directory, piece)
    path = os.path.join(directory, piece.file)
    try:
        # Whoever keeps bundles elsewhere may have linked it.
        found = digested(read(os.path.realpath(path)))
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); copy the bundle again") from None
    if found.sha256 != piece.sha256:
        raise BundleError(f"{path} is damaged (its sha256 is not the manifest's); copy the bundle again")


def place(directory: str, destination: str) -> bool:
    """Rename the finished *directory* to *destination*; False when an intact bundle of that content is there."""
    os.chmod(directory, 0o755)
    for name in os.listdir(directory):
        os.chmod(os.path.join(directory, name), 0o644)
    if is_intact(destination, os.path.basename(destination)):
        return False
    if os.path.lexists(destination):
        shutil.rmtree(destination)
    os.rename(directory, destination)
    # Its clean-up wants something to remove.
    os.mkdir(directory)
    return True


def is_intact(directory: str, label: str) -> bool:
    """Whether the bundle *label* lies whole in *directory*, judged by sizes."""
    try:
        manifest = read_manifest(directory)
    except BundleError:
        return False
    return manifest.label == label and all(_has_size(directory, piece) for piece in pieces(manifest))


def _has_size(directory: str, piece: Piece) -> bool:
    path = os.path.join(directory, piece.file)
    return os.path.isfile(path) and os.path.getsize(path) == piece.size


def read_manifest(directory: str) -> Manifest:
    """Return the manifest of the bundle in *directory*; C(BundleError) when there is none that can be used."""
    try:
        with open(os.path.join(directory, MANIFEST_NAME), "rb") as file:
            # One byte more, as what is too long is refused there.
            return parse_manifest(file.read(SIZE_MAX + 1), directory)
    except OSError as error:
        raise BundleError(f"{directory} is not a bundle ({error.strerror}: {MANIFEST_NAME})") from None


def point_at(dist: str, manifest: Manifest) -> bool:
    """Make C(<name>-<platform>), a link, and C(<name>-<platform>.latest), a text, point at this bundle.

    Return whether they did not yet.
    """
    newest = os.path.join(dist, f"{manifest.name}-{manifest.needs.platform}")
    linked = os.path.islink(newest) and os.readlink(newest) == manifest.label
    if not linked:
        replace(newest, lambda path: os.symlink(manifest.label, path))
    written = _text_of(newest + ".latest") == manifest.label + "\n"
    if not written:
        replace(newest + ".latest", lambda path: write_text(path, manifest.label + "\n"))
    return not (linked and written)


def reports(directory: str, manifest: Manifest) -> bool:
    """Whether the bundle in *directory* holds the report of its licences."""
    return _text_of(os.path.join(directory, REPORT_NAME)) == render_report(manifest.label, manifest.packages)


def write_report(directory: str, manifest: Manifest) -> bool:
    """Write the report of licences beside the manifest; return whether it was not there yet."""
    if reports(directory, manifest):
        return False
    path = os.path.join(directory, REPORT_NAME)
    replace(path, lambda temporary: write_text(temporary, render_report(manifest.label, manifest.packages)))
    os.chmod(path, 0o644)
    return True


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write_text(path: str, text: str) -> None:
    """Write *text* to *path*."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def replace(path: str, make: t.Callable[[str], None]) -> None:
    """Put at *path*, in one step, what *make* makes at the path it is given."""
    temporary = f"{path}.{os.getpid()}.new"
    make(temporary)
    os.replace(temporary, path)
