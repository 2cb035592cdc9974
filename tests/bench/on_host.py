# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host, without Ansible: what looking for drift takes beside the least that it could take, as JSON.

python3 on_host.py ENVS_DIR NAME PAIRS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from typing import Any, Callable

from ansible_collections.airgap.conda.plugins.module_utils._host.drift import inspect
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def walk(top: str) -> None:
    """The least: the stat of everything."""
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            os.lstat(os.path.join(directory, name))


def hash_all(top: str) -> None:
    """The same digests by the system's own program, in as many processes."""
    command = 'find "$0" -type f -print0 | xargs -0 -P"$(nproc)" sha256sum >/dev/null'
    subprocess.run(["sh", "-c", command, top], check=True)


def look(envs_dir: str, name: str, mode: str) -> None:
    order = {"name": name, "envs_dir": envs_dir, "state": "present", "verify": mode, "bytecode": None}
    found = inspect([order], [], True, Progress())
    if found["status"] != "clean":
        raise SystemExit(f"{name} is not clean: {found}")


def main() -> None:
    envs_dir, name, pairs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    top = os.path.join(envs_dir, name)
    beside = {"quick": walk, "full": hash_all}
    look(envs_dir, name, "full")
    measured: dict[str, list[tuple[float, float]]] = {}
    for mode, other in beside.items():
        other(top)
        measured[mode] = [
            (seconds(partial(look, envs_dir, name, mode)), seconds(partial(other, top))) for _pair in range(pairs)
        ]
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
