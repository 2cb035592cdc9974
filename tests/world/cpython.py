# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPython compiled for the placeholder prefix."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import cache, debian, wheels
from .conda_package import MTIME, PLACEHOLDER
from .process import in_root, run, say, together
from .recipes import COMPILER, PYTHON_FROM
from .sysroot import Sysroot

RECIPE = 1

# $TOP holds source/, sys/ and gets stage/. Modules that would link to what no package of ours holds are
# left out; bytecode comes later, once and with the right times.
BUILD = """
cd "$TOP/source"
export LD_LIBRARY_PATH="$TOP/sys/lib" SOURCE_DATE_EPOCH=$MTIME LC_ALL=C.UTF-8
./configure -q --prefix="$PREFIX" --with-openssl="$TOP/sys" --without-ensurepip --without-static-libpython \\
    --disable-test-modules --with-system-ffi --enable-loadable-sqlite-extensions \\
    OPT="-DNDEBUG -O2 -fwrapv" CPPFLAGS="-I$TOP/sys/include" \\
    LDFLAGS="-L$TOP/sys/lib -Wl,-rpath,$PREFIX/lib -Wl,--disable-new-dtags"
printf '*disabled*\\n%s\\n' "_crypt _dbm _gdbm _tkinter nis ossaudiodev" > Modules/Setup.local
sed -i 's|[$](DESTDIR)[$](LIBDEST)/compileall.py|-c pass|' Makefile
make -s -j"$(nproc)"
make -s install DESTDIR="$TOP/stage"
find "$TOP/stage" -name '*.so' -exec strip --strip-unneeded {} +
strip "$TOP/stage$PREFIX/bin/python3.11"
"""

# Parts of the standard library without use here; idlelib needs tkinter, which is not built.
LEFT_OUT = ("idlelib", "test", "tkinter", "turtledemo", "turtle.py", "distutils/tests", "lib2to3/tests")


def ensure(sysroot: Sysroot, release: str | None) -> Path:
    """The installed tree, its bytecode included; compiled in a root of the release, or here without one."""
    inputs = [RECIPE, BUILD, LEFT_OUT, PYTHON_FROM, PLACEHOLDER, MTIME, sysroot.here.name, release]
    return cache.entry("pythons", inputs, lambda into: _make(into, sysroot, release)) / "tree"


def _make(into: Path, sysroot: Sysroot, release: str | None) -> None:
    work = into / "work"
    _unpack_source(work)
    shutil.copytree(sysroot.here, work / "sys", symlinks=True)
    root = debian.ensure_root(release, COMPILER) if release else None
    say("compiling CPython, which takes minutes once")
    top = _compile_in(root, work) if root else _compile_here(work)
    tree = into / "tree"
    (work / "stage" / PLACEHOLDER.lstrip("/")).rename(tree)
    _prune(tree)
    _name_prefix(tree, top)
    wheels.compile_sources(tree / "bin/python3.11", sysroot.libraries, tree)
    shutil.rmtree(work)


def _unpack_source(work: Path) -> None:
    say("the source of CPython")
    apt = debian.Apt(work / "apt", PYTHON_FROM, sources=True)
    archive = apt.original_source("python3.11", work)
    (work / "source").mkdir()
    run(["tar", "-xf", archive, "-C", work / "source", "--strip-components=1", "--no-same-owner"], timeout=120)


def _compile_in(root: Path, work: Path) -> str:
    """Shown in the root as /mnt; the root itself stays as it is."""
    script = f"mount -t tmpfs tmpfs /tmp\nTOP=/mnt PREFIX={PLACEHOLDER} MTIME={MTIME}\n{BUILD}"
    in_root(root, script, timeout=1800, binds={work: "/mnt"})
    return "/mnt"


def _compile_here(work: Path) -> str:
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(work), "TOP": str(work)}
    env |= {"PREFIX": PLACEHOLDER, "MTIME": str(MTIME)}
    run(together(["/bin/sh", "-ec", BUILD]), timeout=1800, env=env)
    return str(work)


def _prune(tree: Path) -> None:
    standard = tree / "lib/python3.11"
    for name in LEFT_OUT:
        path = standard / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (tree / "bin/idle3.11").unlink(missing_ok=True)
    (tree / "bin/idle3").unlink(missing_ok=True)
    (tree / "bin/python").symlink_to("python3.11")


def _name_prefix(tree: Path, top: str) -> None:
    """Where it was built is nobody's business: what it was compiled with is in the prefix."""
    standard = tree / "lib/python3.11"
    config = [*standard.glob("_sysconfigdata_*.py"), *standard.glob("config-3.11*/*"), *tree.glob("lib/pkgconfig/*.pc")]
    for file in (*config, tree / "bin/python3.11-config"):
        content = file.read_bytes()
        if file.is_symlink() or top.encode() not in content:
            continue
        named = content.replace(f"{top}/sys".encode(), PLACEHOLDER.encode())
        file.write_bytes(named.replace(f"{top}/source".encode(), b"/source"))
