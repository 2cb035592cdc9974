# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Look at the bytes of a file while they go by, wherever they are cut."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import Finder, Trace
from ansible_collections.airgap.conda.plugins.module_utils._builder.packing import bytecode_placeholders

_CHUNK = 1 << 20
#: Longer than a placeholder and what must stand after it.
_OVERLAP = 512

Chunks = t.Iterable[bytes]


class Watch:
    """Looks at a file that goes by: whether it carries the builder's *prefix*, the *known* placeholders, and others."""

    def __init__(self, known: t.Iterable[str], prefix: str) -> None:
        self._known = {old: old.encode("utf-8", "surrogateescape") for old in known}
        self._finder = Finder((Trace("", prefix),)) if prefix else None
        self._overlap = max([_OVERLAP, *map(len, self._known.values())])
        self.found: set[str] = set()
        #: Every one that looks as conda-build makes them.
        self.placeholders: set[str] = set()
        self.names_prefix = False
        self.is_binary = False

    def over(self, chunks: Chunks) -> Chunks:
        """Yield *chunks*."""
        tail = b""
        for chunk in chunks:
            data = tail + chunk
            self.found.update(old for old, literal in self._known.items() if literal in data)
            self.is_binary = self.is_binary or b"\0" in chunk
            if b"_placehold" in data:
                self.placeholders.update(old for old, _mode in bytecode_placeholders(data))
            if self._finder:
                self._finder.look(chunk)
            tail = data[-self._overlap :]
            yield chunk
        self.names_prefix = bool(self._finder and self._finder.end())


def replaced_head(chunks: Chunks, size: int, head: bytes) -> t.Iterator[bytes]:
    """Yield *chunks* with their first *size* bytes replaced by *head*."""
    yield head
    for chunk in chunks:
        yield chunk[size:]
        size = max(0, size - len(chunk))


def chunks_of(spool: t.IO[bytes]) -> t.Iterator[bytes]:
    """Yield the bytes of *spool*, from its beginning."""
    spool.seek(0)
    while chunk := spool.read(_CHUNK):
        yield chunk
