# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Other encodings of a bundle's tar, made for hosts that cannot decode the one it has; kept in the cache."""

from __future__ import annotations

import contextlib
import functools
import gzip
import os
import shutil
import typing as t
import zlib

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import GZIP, decoded
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested, read
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Encoding, Piece
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import derived

if t.TYPE_CHECKING:
    from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle

#: Speed before size: it is made while hosts wait.
LEVEL = 3

_CHUNK = 1 << 20


def transcode(bundle: Bundle, codec: str) -> tuple[Encoding, str]:
    """Return *bundle*'s tar as *codec*, and its path in the cache; C(BundleError) for a codec that cannot be made."""
    if codec != GZIP:
        raise BundleError(f"the archive cannot be sent as {codec}; only as zstd or gzip")
    name = f"{bundle.manifest.tar_sha256[:16]}.tar.gz"
    path, digest = derived(bundle.cache, name, functools.partial(_make, bundle))
    piece = Piece(name, os.path.getsize(path), digest)
    return Encoding(codec=GZIP, version=zlib.ZLIB_RUNTIME_VERSION, level=LEVEL, piece=piece), path


def _make(bundle: Bundle, path: str) -> str:
    """Write the tar of *bundle* as gzip to *path*; return its sha256 (hex)."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open(bundle.archive, "rb"))
        tar = stack.enter_context(decoded(bundle.codec, source))
        target = stack.enter_context(open(path, "wb"))
        encoder = stack.enter_context(gzip.GzipFile("", "wb", LEVEL, target, mtime=0))
        shutil.copyfileobj(t.cast(t.Any, tar), encoder, _CHUNK)
    return digested(read(path)).sha256
