# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A conda channel of real packages, made of what Debian and the Python package index hold."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import cache, cpython, debian, hard, recipes, sysroot, wheels
from .conda_package import Package, write
from .process import WorldError, say
from .recipes import Wheel
from .repodata import write_repodata
from .sysroot import Sysroot

# What decides the bytes of the packages.
CODE = ("channel.py", "conda_package.py", "cpython.py", "hard.py", "recipes.py", "sysroot.py", "wheels.py")

PYTHON_ABI = Package("python_abi", "3.11", "BSD-3-Clause", ("python 3.11.*",), build="0_cp311")


def ensure() -> str:
    """The URL of the channel, made first if needed; $AIRGAP_TEST_CHANNEL names another."""
    named = os.environ.get("AIRGAP_TEST_CHANNEL")
    return named or cache.entry("channels", _inputs(), _make).as_uri()


def _release() -> str:
    """The Debian whose libraries are used: the oldest for root, who can compile in it, else this machine's."""
    if platform.machine() != "x86_64":
        raise WorldError("The test channel is for x86_64 only; name another in AIRGAP_TEST_CHANNEL")
    if os.geteuid() == 0:
        return recipes.OLDEST
    system = platform.freedesktop_os_release()
    if system["ID"] != "debian":
        raise WorldError("Only root can make the channel here; on Debian every user can")
    return system["VERSION_CODENAME"]


def _inputs() -> object:
    here = Path(__file__).parent
    return {"release": _release(), "code": [(here / name).read_text() for name in CODE]}


def _make(channel: Path) -> None:
    release = _release()
    root = release if os.geteuid() == 0 else None
    if not root:
        say(f"not root: the channel is compiled on this machine and fits only its glibc (Debian {release}) or newer")
    with ThreadPoolExecutor(max_workers=2) as pool:
        if root:
            pool.submit(debian.ensure_root, root, recipes.COMPILER)
        system = sysroot.ensure(release)
        compiling = pool.submit(cpython.ensure, system, root)
        _write_independent(system, channel)
        python = compiling.result()
        _write_compiled(system, python, channel)
    say("indexing")
    write_repodata(channel)


def _write_independent(system: Sysroot, channel: Path) -> None:
    """What needs no Python of ours."""
    say("packages of libraries and of pure Python")
    system.write_packages(channel)
    write(PYTHON_ABI, _emptied(channel / "work"), channel)
    for wheel in recipes.WHEELS:
        if wheel.noarch:
            _convert(wheel, channel)
    for other in hard.PACKAGES:
        if not other.compiled:
            other.fill(_emptied(channel / "work"))
            write(other.package, channel / "work", channel)


def _write_compiled(system: Sysroot, python: Path, channel: Path) -> None:
    say("packages of Python, numpy and pandas")
    depends = (f"__glibc >={system.glibc}", *(library.name for library in recipes.LIBRARIES if library.linked))
    inputs = [cpython.BUILD, system.here.name]
    package = Package("python", recipes.PYTHON, "Python-2.0", depends, inputs=inputs)
    write(package, python, channel)
    for wheel in recipes.WHEELS:
        if not wheel.noarch:
            _convert(wheel, channel, python / "bin/python3.11", system.libraries)
    for other in hard.PACKAGES:
        if other.compiled:
            other.fill(_emptied(channel / "work"))
            wheels.compile_sources(python / "bin/python3.11", system.libraries, channel / "work")
            write(other.package, channel / "work", channel)
    shutil.rmtree(channel / "work")


def _convert(wheel: Wheel, channel: Path, python: Path | None = None, libraries: Path | None = None) -> None:
    tree = _emptied(channel / "work")
    commands = wheels.unpack(wheels.find(wheels.ensure(), wheel), wheel, tree)
    if python and libraries:
        wheels.compile_sources(python, libraries, tree)
    entry_points = tuple(commands) if wheel.noarch else ()
    said = (wheel.name, wheel.version, wheel.license, wheel.depends)
    write(Package(*said, noarch=wheel.noarch, entry_points=entry_points), tree, channel)


def _emptied(tree: Path) -> Path:
    if tree.exists():
        shutil.rmtree(tree)
    tree.mkdir()
    return tree


if __name__ == "__main__":
    try:
        print(ensure())
    except WorldError as error:
        sys.exit(f"world: {error}")
