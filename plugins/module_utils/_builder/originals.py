# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Originals: what the files of an archive packed by hand were before conda-pack rewrote them, as its records tell."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import canonical
from ansible_collections.airgap.conda.plugins.module_utils._builder.contents import Contents
from ansible_collections.airgap.conda.plugins.module_utils._builder.sources import stays
from ansible_collections.airgap.conda.plugins.module_utils._builder.watching import chunks_of, replaced_head
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    PLACEHOLDER,
    RELOCATION_MODES,
    TEXT,
    source_of_bytecode,
)

_ENV_SHEBANG = re.compile(rb"#!/usr/bin/env ([^/\s]+)([^\n]*)\n")
#: What conda-pack adds, and ours replaces.
_UNPACKING = ("bin/conda-unpack", "bin/conda_unpack_progress.py")

Chunks = t.Iterable[bytes]


class Originals:
    """What *contents* tell of the files that were packed at *prefix*; *fixed* is that where it is the only one."""

    def __init__(self, contents: Contents, prefix: str, fixed: str) -> None:
        self._contents = contents
        self._prefix = prefix
        self._fixed = fixed

    def travels(self, path: str) -> bool:
        """Whether the file at *path* is packed."""
        if path in _UNPACKING and path not in self._contents.owners:
            return False
        if path.endswith(".pyc") and "__pycache__/" in path:
            # What was compiled on the builder names it; the host compiles its own.
            rewritten = self._fixed and "prefix_placeholder" in self.stated(source_of_bytecode(path) or "")
            return bool(self.promised(path)) and not rewritten
        return not stays(path)

    def stated(self, path: str) -> dict[str, t.Any]:
        """Return what conda-meta states of *path*."""
        return self._contents.stated.get(path, {})

    def promised(self, path: str) -> str:
        """Return the digest (hex) that the package's own copy has; empty for what an installer made."""
        stated = self.stated(path)
        return str(stated.get("sha256") or "") if stated.get("path_type") in (None, "hardlink") else ""

    def records(self, path: str) -> dict[str, str]:
        """Return how each placeholder that *path* may carry is to be replaced: as conda-unpack would, or conda did."""
        if self._fixed:
            return {}
        records = dict((self._contents.relocations or {}).get(path, ()))
        records.pop(self._prefix, None)
        if self.is_rewritten(path):
            records[PLACEHOLDER] = TEXT
        stated = self.stated(path)
        if stated.get("prefix_placeholder"):
            records[str(stated["prefix_placeholder"])] = str(stated.get("file_mode") or TEXT)
        return {old: mode for old, mode in records.items() if mode in RELOCATION_MODES}

    def is_rewritten(self, path: str) -> bool:
        """Whether conda-pack wrote the file at *path* anew."""
        return not self._fixed and (self._program_of(path) is not None or self.names_builder(path))

    def names_builder(self, path: str) -> bool:
        """Whether conda-pack put the builder's prefix into the text at *path*."""
        return dict((self._contents.relocations or {}).get(path, ())).get(self._prefix) == TEXT

    def _program_of(self, path: str) -> t.Match[bytes] | None:
        """Return the first line by which a script looks for a program of the environment on the PATH."""
        line = _ENV_SHEBANG.match(self._contents.heads.get(path, b"")) if path.startswith("bin/") else None
        return line if line and f"bin/{os.fsdecode(line[1])}" in self._contents.members else None

    def read(self, path: str, spool: t.IO[bytes], digest: str) -> Chunks:
        """Return the file at *path* as it was before conda-pack rewrote it, the builder's prefix as a placeholder.

        *spool* holds it as it is in the archive, with that *digest* (hex).
        """
        chunks, stated = t.cast(Chunks, chunks_of(spool)), self.stated(path)
        if not self.is_rewritten(path) or digest == self.promised(path):
            return chunks
        # conda-pack takes a binary that happens to be UTF-8 for a text.
        if any(b"\0" in chunk for chunk in chunks_of(spool)):
            return chunks_of(spool)
        line = self._program_of(path)
        if line:
            placeholder = str(stated.get("prefix_placeholder") or PLACEHOLDER).encode()
            chunks = replaced_head(chunks, len(line[0]), b"#!" + placeholder + b"/bin/" + line[1] + line[2] + b"\n")
        if self.names_builder(path):
            chunks = canonical.to_placeholder(canonical.plain_shebang(chunks, self._prefix), self._prefix)
        return chunks
