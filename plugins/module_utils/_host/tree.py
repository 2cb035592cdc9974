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
        if not stat.S_ISDIR(status.st_mode):
            lines.append(f"{below}{name}\0{_stats(status)}\0")
            continue
        lines.append(f"{below}{name}\0{status.st_mode} {status.st_uid} {status.st_gid}\0")
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


def _stats(status: os.stat_result) -> str:
    return " ".join(map(str, stats_of(status)))


def stats_of(status: os.stat_result) -> Stats:
    """Return what a stat index says of a file with *status*."""
    return (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


class Touched:
    """Files whose names were linked or unlinked, which changes their ctime: what an index said of them, and shall say.

    So indexes of all trees that share them stay true, and vouch for nothing that they did not vouch for before.
    """

    def __init__(self) -> None:
        self._now: dict[bytes, bytes] = {}
        self._first: dict[bytes, bytes] = {}

    def note(self, before: os.stat_result, now: os.stat_result) -> bool:
        """Take note of a file that had the status *before*, right before it was linked or unlinked, and has *now*.

        False, and nothing noted, where somebody else was at it as well.
        """
        if stats_of(before)[:-1] != stats_of(now)[:-1]:
            return False
        old, new = _stats(before).encode(), _stats(now).encode()
        first = self._first.pop(old, old)
        self._now[first] = new
        self._first[new] = first
        return True

    def unlink(self, name: str, directory: int | None = None) -> None:
        """Unlink the file *name*, of the open *directory* if one is given."""
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            before = os.fstat(descriptor)
            os.unlink(name, dir_fd=directory)
            if before.st_nlink > 1:
                self.note(before, os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def renewed(self, index: bytes) -> bytes:
        """Return *index* with what it shall say now."""
        fields = index.split(b"\0")
        return b"\0".join([self._now.get(field, field) for field in fields]) if self._now else index


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
    nothing = [b"%b\0%b\0" % (path, b"0 0 0") for path in sorted(doubtful)]
    return b"%b\0%b" % (device, b"".join([*kept, *nothing]))
