# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pythons of this machine, by version."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from world.process import WorldError

# Where the Python really is: not a launcher that may refuse, nor an environment of one.
PROBE = "import ensurepip, sys, venv; print(sys.base_exec_prefix)"


def find(version: str) -> Path:
    """The interpreter of this version ("3.8"), which can make virtual environments."""
    for candidate in _candidates(version):
        found = _real(candidate, version)
        if found:
            return found
    looked = f"on the PATH and in {_pyenv()}"
    raise WorldError(f"Python {version} with venv and ensurepip is not on this machine; looked for {looked}")


def _candidates(version: str) -> Iterator[Path]:
    for directory in os.get_exec_path():
        yield Path(directory, f"python{version}")
    yield from sorted(_pyenv().glob(f"{version}.*/bin/python{version}"))


def _pyenv() -> Path:
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"


def _real(candidate: Path, version: str) -> Path | None:
    try:
        done = subprocess.run([candidate, "-c", PROBE], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    found = Path(done.stdout.strip(), "bin", f"python{version}")
    return found if done.returncode == 0 and found.exists() else None
