# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packing beside conda-pack's: each a program of its own, from start to the file on disk."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from ansible_collections.airgap.conda.plugins.module_utils._builder.bundles import Target, make_bundle
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from world.process import run

from bench.builds import Build, conda_pack, packed_size
from bench.figures import Figure, Pairs
from bench.processes import cpu_of_children

PAIRS = 4

_TIMEOUT = 60


def measure(build: Build) -> list[Figure]:
    """Pack the example both ways, in turn."""
    pairs = [(_ours(build), _theirs(build)) for _pair in range(PAIRS)]
    sizes = (packed_size(build.bundle) / 1e6, build.archive.stat().st_size / 1e6)
    names = ("ours", "conda-pack -j -1")
    return [
        Pairs(names, "s", [(ours[0], theirs[0]) for ours, theirs in pairs]).figure("packing, all checks included", 0.8),
        Pairs(names, "s", [(ours[1], theirs[1]) for ours, theirs in pairs]).figure("packing, CPU"),
        Pairs(names, "MB", [sizes]).figure("size of the archive", 1.0),
    ]


def _ours(build: Build) -> tuple[float, float]:
    """Wall and CPU time of what module M(bundle) does, without Ansible; nothing remembered from earlier runs."""
    directory = build.directory / "packed"
    directory.mkdir()
    environment = {**os.environ, "XDG_CACHE_HOME": str(directory), "PYTHONPATH": str(Path(__file__).parents[1])}
    try:
        return _time([sys.executable, "-m", "bench.packing", build.prefix, directory / "dist"], environment)
    finally:
        shutil.rmtree(directory)


def _theirs(build: Build) -> tuple[float, float]:
    archive = build.directory / "packed.tar.gz"
    try:
        return _time(conda_pack(build.prefix, archive), dict(os.environ))
    finally:
        archive.unlink(missing_ok=True)


def _time(command: list[str | Path], environment: dict[str, str]) -> tuple[float, float]:
    began, cpu = time.monotonic(), cpu_of_children()
    run(command, timeout=_TIMEOUT, env=environment)
    return time.monotonic() - began, cpu_of_children() - cpu


if __name__ == "__main__":
    make_bundle(Target(sys.argv[1], "my_env", "linux-64", sys.argv[2]), "", Progress())
