# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Bundles on the controller: found, or derived from archives, read, verified once, and offered to hosts."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import (
    check_size,
    find_bundle,
    pieces,
    read_manifest,
    verify_piece,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_reading import file_list
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import MANIFEST_NAME, Manifest, Piece
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    ARCHIVE_PIECE,
    FILES_PIECE,
    MANIFEST_PIECE,
    stream_of,
)
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import exclusively, note_down, once, stat_of


class Bundle:
    """One bundle in a directory of the controller, perhaps on read-only media; what is derived goes to *cache*."""

    def __init__(self, directory: str, cache: str) -> None:
        self.directory = directory
        self.manifest: Manifest = read_manifest(self.directory)
        self.cache = cache
        self._offer_whole()

    def _offer_whole(self) -> None:
        self._encoding = self.manifest.encodings[0]
        self._archive = os.path.join(self.directory, self._encoding.piece.file)
        self._files = (os.path.join(self.directory, self.manifest.files.file), self.manifest.files)
        #: What a host must hold, where only the rest is offered.
        self.basis = Basis()

    def encode(self, codec: str) -> None:
        """Offer the archive encoded as *codec* from now on."""
        if codec != self._encoding.codec:
            from ansible_collections.airgap.conda.plugins.plugin_utils._encodings import transcode

            self.verify()
            self._encoding, self._archive = transcode(self, codec)

    def build_on(self, basis: Basis, codec: str) -> None:
        """Offer from now on what a host that holds *basis* lacks, if that is known and pays; else the whole."""
        from ansible_collections.airgap.conda.plugins.plugin_utils._deltas import delta_for, list_delta_for

        self._offer_whole()
        found = delta_for(self, basis, codec) if basis.base else None
        files = list_delta_for(self, basis.base) if found else None
        if found and files:
            self.basis = basis
            self._encoding, self._archive = found
            self._files = files

    @property
    def codec(self) -> str:
        """Codec of the archive that is offered."""
        return self._encoding.codec

    @property
    def archive(self) -> str:
        """Path of the archive that is offered."""
        return self._archive

    @property
    def stream(self) -> str:
        """What tells its stream of pieces from others."""
        return stream_of(piece for _kind, _path, piece in self.pieces())

    @property
    def size(self) -> int:
        """Bytes of the whole stream."""
        return sum(piece.size for _kind, _path, piece in self.pieces())

    def pieces(self) -> list[tuple[str, str, Piece]]:
        """Return (kind, path, piece) of what is sent, in the order it is sent."""
        manifest = os.path.join(self.directory, MANIFEST_NAME)
        with open(manifest, "rb") as file:
            text = file.read()
        return [
            (MANIFEST_PIECE, manifest, Piece(MANIFEST_NAME, len(text), hashlib.sha256(text).hexdigest())),
            (FILES_PIECE, *self._files),
            (ARCHIVE_PIECE, self._archive, self._encoding.piece),
        ]

    def offer(self) -> dict[str, t.Any]:
        """Return what a host is told of the bundle."""
        return {
            "content_id": self.manifest.content_id,
            "needs": self.manifest.needs._asdict(),
            "pieces": {kind: piece._asdict() for kind, _path, piece in self.pieces()},
            "codec": self.codec,
            "carriers": list(self.manifest.carriers),
            "label": self.manifest.label,
            "derived": self._encoding is not self.manifest.encodings[0],
            "base": self.basis.base,
            "lost": list(self.basis.lost),
        }

    def programs(self) -> set[str]:
        """Return the names of what is in its C(bin); its file list is read once for all that share the cache."""
        with exclusively(self.cache, f"programs-{self.manifest.content_id[:16]}") as note:
            with contextlib.suppress(ValueError):
                return set(json.loads(note.read()))
            paths = (entry.path for entry in file_list(self.directory, self.manifest))
            names = [path[len("bin/") :] for path in paths if path.startswith("bin/")]
            note_down(note, json.dumps(names))
        return set(names)

    def verify(self) -> None:
        """Raise C(BundleError) unless archive and file list are what the manifest says.

        Done once for as long as their stat stays: by one of all forks and runs that share the cache.
        """
        for piece in (self.manifest.files, self.manifest.encodings[0].piece):
            stat = stat_of(os.path.join(self.directory, piece.file))
            once(self.cache, f"verified-{piece.sha256[:16]}", stat, functools.partial(self._verified, piece))

    def _verified(self, piece: Piece) -> str:
        verify_piece(self.directory, piece)
        return piece.sha256


class Shelf:
    """The bundles of one task: one object for each directory, however many environments use it."""

    def __init__(self, cache: str) -> None:
        self.cache = cache
        self._bundles: dict[str, Bundle] = {}

    def bundle(self, path: str, name: str = "", platform: str = "") -> Bundle:
        """Return the bundle at *path*, or derived from an archive there, for *name* and *platform* if given."""
        if os.path.isfile(path):
            from ansible_collections.airgap.conda.plugins.plugin_utils._derived import derived_bundle

            directory = derived_bundle(path, self.cache, name, platform)
        else:
            directory = find_bundle(path)
        if directory not in self._bundles:
            bundle = Bundle(directory, self.cache)
            # What can be told without reading, in check mode too.
            for piece in pieces(bundle.manifest):
                check_size(directory, piece)
            self._bundles[directory] = bundle
        return self._bundles[directory]

    def by_platform(
        self, given: str | dict[str, str], caller_path: t.Callable[[str], str], name: str = ""
    ) -> dict[str, Bundle]:
        """Return the bundles *given* for an environment: one directory or archive, or one for each platform.

        *name* is what the environment is called, if that is said: an archive has no name.
        """
        paths = given if isinstance(given, dict) else {"": given}
        found = {platform: self.bundle(caller_path(path), name, platform) for platform, path in paths.items()}
        for platform, bundle in found.items():
            actual = bundle.manifest.needs.platform
            if platform and platform != actual:
                raise DeployError(f"{bundle.directory} is for {actual}, and named as the bundle for {platform}")
        return {bundle.manifest.needs.platform: bundle for bundle in found.values()}
