# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The stat index of a tree: what lstat says of everything in it, as bytes that are equal while nothing changed."""

from __future__ import annotations

import os
import stat
import typing as t

#: What lstat says: (mode, uid, gid, inode, size, mtime ns, ctime ns); of directories only the first three.
Stats = t.Tuple[int, ...]


def stat_index(root: str) -> bytes:
    """Return the stat index of the tree at *root*: first its device, then each path and its stats in order.

    Linking or renaming a directory changes its own times, so those of directories are left out.
    """
    lines = [b"%d\0" % os.lstat(root).st_dev]
    _append(os.fsencode(root), b"", lines)
    return b"".join(lines)


def _append(directory: bytes, below: bytes, lines: list[bytes]) -> None:
    with os.scandir(directory) as listing:
        items = sorted(listing, key=_name)
    for item in items:
        status = item.stat(follow_symlinks=False)
        path = below + item.name
        if stat.S_ISDIR(status.st_mode):
            lines.append(b"%s\0%d %d %d\0" % (path, status.st_mode, status.st_uid, status.st_gid))
            _append(item.path, path + b"/", lines)
        else:
            lines.append(
                b"%s\0%d %d %d %d %d %d %d\0"
                % (
                    path,
                    status.st_mode,
                    status.st_uid,
                    status.st_gid,
                    status.st_ino,
                    status.st_size,
                    status.st_mtime_ns,
                    status.st_ctime_ns,
                )
            )


def _name(item: os.DirEntry[bytes]) -> bytes:
    return item.name


def parse_stat_index(index: bytes) -> dict[str, Stats]:
    """Return the stats of each path in *index*; of a damaged one, nothing, so that all is looked at again."""
    fields = index.split(b"\0")[1:-1]
    try:
        return {
            os.fsdecode(path): tuple(int(number) for number in stats.split())
            for path, stats in zip(fields[::2], fields[1::2])
        }
    except ValueError:
        return {}
