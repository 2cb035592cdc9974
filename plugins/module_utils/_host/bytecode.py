# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Bytecode of a staged tree, compiled by its own Python as for the path it will be live at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import FILE, Entry, source_of_bytecode

#: Seconds; far more than the largest environments take.
TIMEOUT = 3600

#: Runs in the environment's Python.
_COMPILE = """
import json, py_compile, sys
root, prefix, stale = json.load(sys.stdin)
for path, source in stale:
    py_compile.compile(root + "/" + source, root + "/" + path, prefix + "/" + source)
"""

_LIBRARY = re.compile(r"lib/python\d+\.\d+")


def compile_bytecode(staging: Staging, root: str, prefix: str, settled: t.Container[str] = ()) -> None:
    """Compile every Python source of the tree at *root* but the *settled* ones, and take the result into its receipt.

    Sources that do not compile (templates, other Pythons' syntax) are left to themselves, as conda and pip do.
    """
    python = os.path.join(root, "bin", "python")
    if not os.path.exists(python):
        return
    libraries = [path for path in staging.items if _LIBRARY.fullmatch(path)]
    before = set(staging.items)
    for library in libraries:
        sources = [path for path in before if path.startswith(f"{library}/") and path.endswith(".py")]
        if not all(path in settled for path in sources):
            # It leaves alone what is compiled already.
            _compile(python, root, prefix, library)
            _adopt(staging, root, library, before)


def renew_bytecode(staging: Staging, root: str, prefix: str, entries: t.Iterable[Entry]) -> None:
    """Compile anew the C(.pyc) of packages whose source relocation changed, as they would never be valid."""
    python = os.path.join(root, "bin", "python")
    bytecode = [entry for entry in entries if entry.type == FILE and source_of_bytecode(entry.path)]
    made = [entry for entry in bytecode if entry.path not in staging.given]
    stale = [entry for entry in made if source_of_bytecode(entry.path) in staging.relocated]
    if not stale or not os.path.exists(python):
        return
    orders = [root, prefix, [(entry.path, source_of_bytecode(entry.path)) for entry in stale]]
    _run([python, "-I", "-B", "-c", _COMPILE], json.dumps(orders).encode())
    for entry in stale:
        staging.rewritten(entry.path, entry.mode, entry.mtime)


def _compile(python: str, root: str, prefix: str, library: str) -> None:
    command = [python, "-E", "-s", "-B", "-m", "compileall", "-q", "-j", "0"]
    # What tracebacks show.
    command += ["-d", os.path.join(prefix, library), os.path.join(root, library)]
    _run(command, b"")


def _run(command: list[str], orders: bytes) -> None:
    try:
        # There is no AnsibleModule down here.
        subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            input=orders,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeployError(f"the environment's Python does not run on this host: {error}") from None


def _adopt(staging: Staging, root: str, library: str, known: set[str]) -> None:
    for directory, _names, files in os.walk(os.path.join(root, library)):
        if os.path.basename(directory) != "__pycache__":
            continue
        below = os.path.relpath(directory, root)
        if below not in known:
            staging.adopt_directory(below)
        for name in files:
            path = f"{below}/{name}"
            if path not in known or staging.was_replaced(path):
                staging.adopt(path, 0o644)
