# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packing beside conda-pack's: each a program of its own, from start to the file on disk."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

from ansible_collections.airgap.conda.plugins.module_utils._builder.bundles import Target, make_bundle
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from world.process import run

from bench.builds import Build, conda_pack
from bench.figures import Figure, Pairs

PAIRS = 4

_TIMEOUT = 60


def measure(build: Build) -> list[Figure]:
    """Pack the example both ways, in turn."""
    seconds = [(_ours(build), _theirs(build)) for _ in range(PAIRS)]
    manifest = json.loads((build.bundle / "manifest.json").read_text())
    sizes = (manifest["encodings"][0]["piece"]["size"] / 1e6, build.archive.stat().st_size / 1e6)
    names = ("ours", "conda-pack -j -1")
    return [
        Pairs(names, "s", seconds).figure("packing, hashes and closing check included", 0.8),
        Pairs(names, "MB", [sizes]).figure("size of the archive", 1.0),
    ]


def _ours(build: Build) -> float:
    """Seconds of what module M(bundle) does, without Ansible; nothing remembered from earlier runs."""
    directory = build.directory / "packed"
    directory.mkdir()
    try:
        environment = {**os.environ, "XDG_CACHE_HOME": str(directory), "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-m", "bench.packing", str(build.prefix), str(directory / "dist")]
        began = time.monotonic()
        run(command, timeout=_TIMEOUT, env=environment)
        return time.monotonic() - began
    finally:
        shutil.rmtree(directory)


def _theirs(build: Build) -> float:
    archive = build.directory / "packed.tar.gz"
    try:
        began = time.monotonic()
        run(conda_pack(build.prefix, archive), timeout=_TIMEOUT)
        return time.monotonic() - began
    finally:
        archive.unlink(missing_ok=True)


if __name__ == "__main__":
    make_bundle(Target(sys.argv[1], "my_env", "linux-64", sys.argv[2]), "", Progress())
