# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""A file in parts, read as one."""

from __future__ import annotations

import io
import typing as t

_CHUNK = 1 << 20


def joined(paths: t.Sequence[str]) -> t.BinaryIO:
    """Return what the files at *paths* are, one after the other; one of them is open at a time."""
    return t.cast(t.BinaryIO, io.BufferedReader(_Joined(paths), _CHUNK))


class _Joined(io.RawIOBase):
    def __init__(self, paths: t.Sequence[str]) -> None:
        # The first now, so that what is not there is told at once.
        self._file = io.FileIO(paths[0])
        self._rest = iter(paths[1:])

    def readable(self) -> bool:
        """Whether it can be read, which it can."""
        return True

    def readinto(self, buffer: t.Any) -> int:
        """Read some bytes into *buffer*; return how many, none at the end of the last."""
        while not (size := self._file.readinto(buffer) or 0):
            path = next(self._rest, None)
            if path is None:
                break
            self._file.close()
            self._file = io.FileIO(path)
        return size

    def close(self) -> None:
        """Close what is open."""
        self._file.close()
        super().close()
