# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems of any kind, in files or in memory, mounted for one command that nobody else sees them with."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import debian
from .process import run

#: Whose tools make them.
PACKAGES = ("btrfs-progs", "e2fsprogs", "xfsprogs")

#: Bytes of an image, of which nothing is written that is not used: XFS takes no less.
SIZE = 400 << 20

MAKERS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q"),
    # As it was made before 2013, and by those who still format so.
    "xfs without reflink": ("mkfs.xfs", "-q", "-m", "reflink=0"),
    "btrfs": ("mkfs.btrfs", "-q"),
}


def mounting(kind: str, directory: Path) -> str:
    """Return the shell command that mounts a new file system of *kind* at C(directory/mounted)."""
    mounted = directory / "mounted"
    mounted.mkdir()
    if kind == "tmpfs":
        return shlex.join(["mount", "-t", "tmpfs", "-o", "size=128m", "none", str(mounted)])
    if kind == "overlay":
        # Of memory, as overlays do not lie on every file system.
        parts = {name: directory / f"memory/{name}" for name in ("lower", "upper", "work")}
        memory = shlex.join(["mount", "-t", "tmpfs", "none", str(directory / "memory")])
        (directory / "memory").mkdir()
        options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**parts)
        overlay = shlex.join(["mount", "-t", "overlay", "-o", options, "none", str(mounted)])
        return f"{memory} && mkdir {' '.join(map(shlex.quote, map(str, parts.values())))} && {overlay}"
    image = directory / "image"
    with image.open("wb") as opened:
        opened.truncate(SIZE)
    run([*_tool(MAKERS[kind]), image], timeout=60)
    return shlex.join(["mount", "-o", "loop", str(image), str(mounted)])


def _tool(command: Sequence[str]) -> list[str | Path]:
    """Return *command* by its program in a root of its own, with the libraries of that."""
    root = debian.ensure_root("bookworm", PACKAGES)
    libraries = ":".join(str(root / path) for path in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib"))
    loader = next((root / "usr/lib").glob("*/ld-linux-*.so.*"))
    name, *words = command
    places = (root / directory / name for directory in ("usr/sbin", "sbin", "usr/bin"))
    program = next(path for path in places if path.exists())
    return [loader, "--library-path", libraries, program, *words]


def lived_on(kind: str, *refused: str) -> subprocess.CompletedProcess[str]:
    """Run M(world.life) on a new file system of *kind*, in memory; what is mounted goes with the process.

    *refused*: what the kernel shall not do for it, see M(world.refusing).
    """
    with tempfile.TemporaryDirectory(prefix="airgap-disk-", dir="/dev/shm") as name:
        site = f"{name}/mounted/site"
        life = [sys.executable, "-m", "world.refusing", *refused, "--", sys.executable, "-m", "world.life", site]
        script = f"{mounting(kind, Path(name))} && mkdir {site} && exec {shlex.join(life)}"
        command = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec", script]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
