# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The stat index of a tree: what lstat says of everything in it, as bytes that are equal while nothing changed."""

from __future__ import annotations

import os
import stat
import typing as t

#: Directories that could not be read, and why.
Denied = t.Dict[str, str]

#: What lstat says: (mode, uid, gid, inode, size, mtime ns, ctime ns); of directories only the first three.
Stats = t.Tuple[int, ...]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def stat_index(root: str, denied: t.Optional[Denied] = None) -> bytes:
    """Return the stat index of the tree at *root*: first its device, then each path and its stats in order.

    Linking or renaming a directory changes its own times, so those of directories are left out. Directories that this
    process may not read are noted in *denied*, and nothing below them is in the index; without it, they are an error.
    """
    directory = os.open(root, _DIRECTORY)
    try:
        lines = [f"{os.fstat(directory).st_dev}\0"]
        _append(directory, "", lines, denied)
    finally:
        os.close(directory)
    return os.fsencode("".join(lines))


def _append(directory: int, below: str, lines: list[str], denied: t.Optional[Denied]) -> None:
    """Append what is in the open *directory*.

    Named from there: the kernel walks whole paths anew for each file, which takes 1.4 times as long.
    """
    for name in sorted(os.listdir(directory)):
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            # Users work in the tree: what is gone by now was not there.
            continue
        seen = f"{below}{name}\0{status.st_mode} {status.st_uid} {status.st_gid}"
        if not stat.S_ISDIR(status.st_mode):
            lines.append(f"{seen} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\0")
            continue
        lines.append(f"{seen}\0")
        _append_below(directory, name, f"{below}{name}", lines, denied)


def _append_below(directory: int, name: str, path: str, lines: list[str], denied: t.Optional[Denied]) -> None:
    """Append what is in the directory *name* of the open *directory*."""
    before = len(lines)
    try:
        inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        try:
            _append(inner, f"{path}/", lines, denied)
        finally:
            os.close(inner)
    except OSError as error:
        if denied is None or not isinstance(error, PermissionError):
            error.filename = error.filename if "/" in str(error.filename) else path
            raise
        del lines[before:]
        denied[path] = error.strerror or "cannot be read"


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


def vouching_for_others(index: bytes, paths: t.Iterable[str]) -> bytes:
    """Return *index* with stats for *paths*, whether or not they are in it, that are those of nothing.

    So it is never equal to that of a tree, and they are looked at again.
    """
    doubtful = dict.fromkeys(map(os.fsencode, paths))
    if not doubtful:
        return index
    device, *fields = index.split(b"\0")[:-1]
    kept = [b"%b\0%b\0" % each for each in zip(fields[::2], fields[1::2]) if each[0] not in doubtful]
    nothing = [b"%b\00 0 0\0" % path for path in sorted(doubtful)]
    return b"%b\0%b" % (device, b"".join([*kept, *nothing]))
