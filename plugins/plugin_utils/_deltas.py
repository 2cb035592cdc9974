# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Deltas for hosts: of each bundle and all that hosts hold, one, made once and kept in the cache."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.deltas import read_side, write_part
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import read_manifest
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_reading import file_list
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import GZIP
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import WORTH, Basis, is_worth_it, lacking
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import Entry, render_files
from ansible_collections.airgap.conda.plugins.module_utils._model.list_delta import list_delta
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import MANIFEST_NAME, Encoding, Piece
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import derived, exclusively, note_down, used

_CONTENT_ID = re.compile(r"[0-9a-f]{64}")


def suit(bundle: Bundle, basis: Basis, decoders: t.Sequence[str]) -> None:
    """Have *bundle* offer what a host lacks that holds *basis* and decodes these, the best of them first."""
    bundle.verify()
    remember(bundle)
    if bundle.basis != basis:
        bundle.build_on(basis, decoders[0])
    if bundle.codec not in decoders:
        bundle.encode(decoders[0])


def delta_for(bundle: Bundle, basis: Basis, codec: str) -> tuple[Encoding, str] | None:
    """Return the archive of what a host that holds *basis* lacks of *bundle*, and its path in the cache.

    None where nothing is known of that, or the whole is hardly more.
    """
    codec = codec if codec == GZIP or _has_zstandard() else GZIP
    # Whatever a host says is no part of a path.
    held = hashlib.sha256(" ".join((basis.base, *basis.lost)).encode()).hexdigest()
    name = f"{bundle.manifest.content_id[:16]}-{held[:16]}.delta.{codec}"
    path = os.path.join(bundle.cache, name)
    with exclusively(bundle.cache, f"{name}.json") as note:
        known = _known(note.read())
        if known is None or (known and not os.path.exists(path)):
            known = _make(bundle, basis, codec, path)
            note_down(note, json.dumps(known))
        used(path)
    if not known:
        return None
    return Encoding(codec, known["version"], known["level"], Piece(name, known["size"], known["sha256"])), path


def list_delta_for(bundle: Bundle, base: str) -> tuple[str, Piece] | None:
    """Return what the list of *bundle* says that of *base* does not, with its path in the cache; None if unknown."""
    name = f"{bundle.manifest.content_id[:16]}-{base[:16]}.files.gz"

    def make(path: str) -> str:
        older = _entries_of(bundle, base)
        if older is None:
            raise LookupError(base)
        data = list_delta(render_files(older), render_files(file_list(bundle.directory, bundle.manifest)))
        with open(path, "wb") as file:
            file.write(data)
        return hashlib.sha256(data).hexdigest()

    with contextlib.suppress(LookupError):
        path, digest = derived(bundle.cache, name, make)
        return path, Piece(name, os.path.getsize(path), digest)
    return None


def remember(bundle: Bundle) -> None:
    """Keep the file list of *bundle*: hosts will have it when the next one comes, and it may be gone then."""
    kept = _kept(bundle.cache, bundle.manifest.content_id)
    if os.path.exists(os.path.join(kept, MANIFEST_NAME)):
        used(kept)
        return
    os.makedirs(kept, exist_ok=True)
    for name in (bundle.manifest.files.file, MANIFEST_NAME):
        temporary = os.path.join(kept, f"{name}.{os.getpid()}")
        shutil.copyfile(os.path.join(bundle.directory, name), temporary)
        os.replace(temporary, os.path.join(kept, name))


def _known(text: str) -> dict[str, t.Any] | None:
    """Return what was noted of a delta: empty for one that is not worth it, None for nothing."""
    with contextlib.suppress(ValueError):
        return t.cast("dict[str, t.Any]", json.loads(text))
    return None


def _make(bundle: Bundle, basis: Basis, codec: str, path: str) -> dict[str, t.Any] | None:
    had = _entries_of(bundle, basis.base)
    if had is None:
        # It may come yet.
        return None
    side = read_side(bundle.directory)
    part = lacking(had, side.entries, set(basis.lost))
    if not is_worth_it(part, side.entries):
        return {}
    temporary = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    encoding = write_part(side, {entry.path for entry in part}, temporary, codec)
    if encoding.piece.size > WORTH * bundle.manifest.encodings[0].piece.size:
        os.unlink(temporary)
        return {}
    os.replace(temporary, path)
    piece = encoding.piece
    return {"version": encoding.version, "level": encoding.level, "size": piece.size, "sha256": piece.sha256}


def _entries_of(bundle: Bundle, content_id: str) -> list[Entry] | None:
    """Return the file list of a bundle: this one, one that was sent before, or one that lies beside this one."""
    if not _CONTENT_ID.fullmatch(content_id):
        return None
    beside = os.path.join(glob.escape(os.path.dirname(os.path.abspath(bundle.directory))), f"*-{content_id[:12]}")
    for directory in (bundle.directory, _kept(bundle.cache, content_id), *sorted(glob.glob(beside))):
        with contextlib.suppress(BundleError):
            manifest = read_manifest(directory)
            if manifest.content_id == content_id:
                return file_list(directory, manifest)
    return None


def _kept(cache: str, content_id: str) -> str:
    return os.path.join(cache, "lists", content_id[:16])


def _has_zstandard() -> bool:
    try:
        import zstandard  # noqa: F401
    except ImportError:
        return False
    return True
