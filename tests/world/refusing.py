# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel that refuses what some file systems cannot do: to exchange, to link, to share blocks.

    python -m world.refusing exchange link -- COMMAND

runs COMMAND, for which the kernel answers so (seccomp(2)), as it would for NFS, FAT or some FUSE.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

#: By machine: renameat2, linkat, link (0 for none).
_NUMBERS = {"x86_64": (316, 265, 86), "aarch64": (276, 37, 0)}

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
#: In the data that a filter looks at: the number of the call, and the lower half of its fifth argument.
_NUMBER, _FIFTH = 0, 16 + 4 * 8


def program(refused: set[str]) -> bytes:
    """Return the filter that refuses what is named."""
    renameat2, *links = _NUMBERS[platform.machine()]
    steps = []
    if "link" in refused:
        for number in filter(None, links):
            steps += [(_LOAD, 0, 0, _NUMBER), (_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | errno.EPERM)]
    if "exchange" in refused:
        steps += [(_LOAD, 0, 0, _NUMBER), (_EQUAL, 0, 3, renameat2)]
        # Without flags it is rename(2).
        steps += [(_LOAD, 0, 0, _FIFTH), (_EQUAL, 1, 0, 0), (_RETURN, 0, 0, _ERROR | errno.EINVAL)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBL", *step) for step in steps)


def refuse(refused: set[str]) -> None:
    """Have the kernel refuse it from now on, to this process and all it starts."""
    code = ctypes.create_string_buffer(program(refused))
    filtering = struct.pack("=HxxxxxxQ", (len(code) - 1) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, filtering, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter")


def main() -> None:
    end = sys.argv.index("--")
    refused = set(sys.argv[1:end])
    if refused:
        refuse(refused)
    os.execv(sys.argv[end + 1], sys.argv[end + 1 :])


if __name__ == "__main__":
    main()
