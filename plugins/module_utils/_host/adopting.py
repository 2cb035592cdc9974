# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Adopt: an environment that another made becomes generation zero, so that there is a way back to it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested, read
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import now
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store, write_all
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Stats, parse_stat_index, stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.files import DIRECTORY, FILE, GENERATION_MARKER, LINK
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header, Item, render_receipt

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def is_adoptable(prefix: str) -> bool:
    """Whether there is a directory at *prefix* that can be renamed."""
    return os.path.isdir(prefix) and not os.path.islink(prefix) and not os.path.ismount(prefix)


def adopt(store: Store, by: str) -> Header:
    """Record what is at the prefix as generation zero, and let it say so, on behalf of *by*; return its header.

    One that was adopted before is recorded anew: it is its owner's, who may have changed it.
    """
    items = list(_items(store.prefix))
    status = os.stat(store.prefix)
    content = hashlib.sha256()
    header = Header(
        generation="",
        content_id="",
        name=os.path.basename(store.prefix),
        prefix=store.prefix,
        bytecode=False,
        uid=status.st_uid,
        gid=status.st_gid,
        created=now(),
        by=by,
    )
    for line in render_receipt(header._replace(created="", by=""), items):
        content.update(line)
    live = store.live()
    name = live.generation if live else f"0000-{content.hexdigest()[:12]}"
    header = header._replace(generation=name, content_id=content.hexdigest())
    marker = f"{name}\n".encode()
    store.write_receipt(header, [*items, *_marks(header, items, marker)], b"", b"")
    _put_marker(header, marker)
    store.write_index(name, stat_index(store.prefix))
    return header


def _items(prefix: str) -> t.Iterator[Item]:
    for path, stats in parse_stat_index(stat_index(prefix)).items():
        item = _item(os.path.join(prefix, path), path, stats)
        if item is not None and path != GENERATION_MARKER:
            yield item


def _item(full: str, path: str, stats: Stats) -> Item | None:
    mode, uid, gid = stats[:3]
    if stat.S_ISDIR(mode):
        return Item(path, DIRECTORY, "", 0, stat.S_IMODE(mode), uid, gid, "", False)
    if stat.S_ISLNK(mode):
        return Item(path, LINK, "", 0, stat.S_IMODE(mode), uid, gid, os.readlink(full), False)
    if stat.S_ISREG(mode):
        digest = digested(read(full))
        return Item(path, FILE, digest.sha256, digest.size, stat.S_IMODE(mode), uid, gid, "", False)
    return None


def _marks(header: Header, items: t.Iterable[Item], marker: bytes) -> t.Iterator[Item]:
    """Yield what is put there to name the generation."""
    directory = os.path.dirname(GENERATION_MARKER)
    if not any(item.path == directory for item in items):
        yield Item(directory, DIRECTORY, "", 0, 0o755, header.uid, header.gid, "", False)
    digest = hashlib.sha256(marker).hexdigest()
    yield Item(GENERATION_MARKER, FILE, digest, len(marker), 0o644, header.uid, header.gid, "", False)


def _put_marker(header: Header, marker: bytes) -> None:
    """Write the name of the generation into the tree: from then on it is known."""
    path = os.path.join(header.prefix, GENERATION_MARKER)
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.dirname(path), 0o755)
        os.chown(os.path.dirname(path), header.uid, header.gid)
    descriptor = os.open(path, _WRITE, 0o600)
    try:
        write_all(descriptor, marker)
        os.fchown(descriptor, header.uid, header.gid)
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
