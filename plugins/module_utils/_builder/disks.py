# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What the builder's disks say: no room left, and halves of packages that a run left which ended before its time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError

_FULL = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)\b|Errno (28|122)\b")
#: The random end that the library gives to the name of what it is still extracting.
_RANDOM = 6


@contextlib.contextmanager
def watched(workdir: str) -> t.Iterator[None]:
    """Clear halves out of the package cache before and after a failure, and say where there is no room."""
    cache = os.path.join(workdir, "pkgs")
    sweep(cache)
    try:
        yield
    except (BuildError, OSError) as error:
        # Measured before anything is cleared.
        message = _no_room(workdir) if _is_full(error) else None
        sweep(cache)
        if message:
            raise BuildError(message) from None
        raise


def sweep(cache: str) -> None:
    """Delete what is half extracted in the package cache *cache*, unless somebody is at it."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(cache):
            if name.startswith("."):
                _delete_unless_locked(os.path.join(cache, name), os.path.join(cache, f"{name[1:-_RANDOM]}.lock"))


def _delete_unless_locked(path: str, lock: str) -> None:
    with contextlib.suppress(OSError), open(lock, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return bool(_FULL.search(str(error)))


def _no_room(workdir: str) -> str:
    places = {os.path.realpath(path): None for path in (workdir, tempfile.gettempdir())}
    found = " and ".join(f"{path} has {shutil.disk_usage(path).free >> 20} MB" for path in places)
    return f"no space left on the builder ({found}); make room, or choose another env_build_workdir or TMPDIR"
