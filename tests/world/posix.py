# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collection ansible.posix, which has the module that people send trees with."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from . import cache
from .process import run, say

#: The package that holds it, for the ansible-core of this checkout.
PACKAGE = "ansible==12.3.0"
COLLECTION = "ansible_collections/ansible/posix/"


def ensure() -> Path:
    """The directory to name in $ANSIBLE_COLLECTIONS_PATH."""
    return cache.entry("collections", [PACKAGE, COLLECTION], _make)


def _make(into: Path) -> None:
    say("collection ansible.posix, from the package index")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps"]
    run([*pip, "--only-binary=:all:", "--dest", into, PACKAGE], timeout=600)
    wheel = next(into.glob("*.whl"))
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(into, [name for name in packed.namelist() if name.startswith(COLLECTION)])
    wheel.unlink()
