# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The switch: a staged tree becomes live in one step, so that the path is always whole."""

from __future__ import annotations

import ctypes
import errno
import os

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

#: What says that the file system or kernel cannot exchange.
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)


def sync(path: str) -> None:
    """Write everything on the file system of *path* to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
        if syncfs is None or syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)


def exchange(one: str, other: str) -> bool:
    """Exchange two paths in one step (renameat2(2)); False where that cannot be done here."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise DeployError(f"cannot exchange {one} and {other}: {os.strerror(code)}")


def switch(tree: str, live: str, aside: str) -> None:
    """Make *tree* live; the one that was live, if any, is then at *tree*, or still at *aside*.

    Where the file system cannot exchange, the old tree passes through *aside*; M(finish_switch) ends that.
    """
    if not os.path.lexists(live):
        os.rename(tree, live)
    elif not exchange(tree, live):
        os.rename(live, aside)
        os.rename(tree, live)


def finish_switch(live: str, aside: str) -> str | None:
    """End a switch by renames that was interrupted: something is live; return a sentence about it, or None."""
    if not os.path.lexists(aside) or os.path.lexists(live):
        return None
    os.rename(aside, live)
    return f"an interrupted switch of {live} was taken back"
