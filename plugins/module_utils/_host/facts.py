# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What this host offers, asked of the system itself: no fact gathering, standard library only."""

from __future__ import annotations

import ctypes
import os

from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import HostFacts, Place

#: conda's names, by what uname says.
_PLATFORMS = {
    ("Linux", "x86_64"): "linux-64",
    ("Linux", "aarch64"): "linux-aarch64",
    ("Linux", "ppc64le"): "linux-ppc64le",
    ("Linux", "s390x"): "linux-s390x",
    ("Darwin", "x86_64"): "osx-64",
    ("Darwin", "arm64"): "osx-arm64",
}

#: Missing in os on some systems; value from linux/statfs.h.
_ST_NOEXEC = getattr(os, "ST_NOEXEC", 8)


def host_facts() -> HostFacts:
    """Return platform, C library and CUDA of this host."""
    name = os.uname()
    platform = _PLATFORMS.get((name.sysname, name.machine), f"{name.sysname}-{name.machine}".lower())
    return HostFacts(platform=platform, glibc=_glibc(), cuda=_cuda())


def _glibc() -> str:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").replace("glibc ", "")
    except (ValueError, OSError):
        return ""


def _cuda() -> str:
    """Return the version the driver supports, as conda's __cuda means it: that of libcuda."""
    try:
        version = ctypes.c_int(0)
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)) != 0:
            return ""
    except (OSError, AttributeError):
        return ""
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def place_of(directory: str) -> Place:
    """Return what *directory*, or the nearest one above it that exists, offers."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    status = os.statvfs(directory)
    return Place(
        directory=directory,
        free_bytes=status.f_bavail * status.f_frsize,
        free_inodes=status.f_favail if status.f_files else None,
        noexec=bool(status.f_flag & _ST_NOEXEC),
        read_only=bool(status.f_flag & os.ST_RDONLY),
        writable=os.access(directory, os.W_OK | os.X_OK),
    )
