# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs run for a bounded time, in a chroot or on this machine, that leave nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

STARTED = time.monotonic()

# A program started here does not outlive us, however we end.
TIED_TO_US = ("setpriv", "--pdeathsig", "KILL", "--")


class WorldError(RuntimeError):
    """The test world cannot be made; the message says in a line what to do."""


def say(phase: str) -> None:
    """Progress for the person who waits."""
    print(f"world: {time.monotonic() - STARTED:4.0f} s: {phase}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    timeout: int,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """What the program prints; an error that holds its last lines when it fails or takes too long."""
    words = [str(word) for word in argv]
    if not shutil.which(words[0]):
        raise WorldError(f"{words[0]} is not on this machine; install it and start again")
    try:
        done = subprocess.run(
            [*TIED_TO_US, *words],
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WorldError(f"{_short(words)} took more than {timeout} s; start again on a quieter machine") from None
    if done.returncode:
        raise WorldError(f"{_short(words)} failed with {done.returncode}: {_last_lines(done.stderr or done.stdout)}")
    return done.stdout


def private(argv: Sequence[str | Path], *, network: bool) -> list[str | Path]:
    """The same program with mounts and processes of its own, which end with it and with us."""
    net = [] if network else ["--net"]
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *net, "--", *argv]


def together(argv: Sequence[str | Path]) -> list[str | Path]:
    """The same program with processes of its own that end with it, where a plain user may have that."""
    cell = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--"]
    try:
        run([*cell, "true"], timeout=10)
    except WorldError:
        return list(argv)
    return [*cell, *argv]


def in_root(
    root: Path,
    script: str,
    *,
    timeout: int,
    binds: Mapping[Path, str] | None = None,
) -> str:
    """Run a shell script in a root directory, without network; `binds` are directories to show in it."""
    if os.geteuid() != 0:
        raise WorldError("A Debian root can only be entered by root; run this as root")
    mounts = [f'mount --bind "{outside}" "{root}{inside}"' for outside, inside in (binds or {}).items()]
    lines = ["set -e", f'mount -t proc proc "{root}/proc"', *mounts, f'exec chroot "{root}" /bin/sh -ec "$1"']
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    env["DEBIAN_FRONTEND"] = "noninteractive"
    return run(private(["/bin/sh", "-c", "\n".join(lines), "sh", script], network=False), timeout=timeout, env=env)


def _short(words: Sequence[str]) -> str:
    """The program's own name, without the cell it runs in and the script it is given."""
    inner = words[words.index("--") + 1 :] if "--" in words else words
    return " ".join(word for word in inner[:3] if "\n" not in word)


def _last_lines(output: str) -> str:
    return " | ".join(output.strip().splitlines()[-5:]) or "it printed nothing"
