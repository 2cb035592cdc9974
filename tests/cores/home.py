# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The home directory ansible-test is given: its environments last between runs, and nothing gets into the user's."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

from world import cache

# In place of a download from a site of Ansible's, which machines with only a package index cannot reach.
GET_PIP = "import ensurepip\n\nensurepip.bootstrap(default_pip=True)\n"


def ensure(pip: str) -> Path:
    """The home directory, ready for an ansible-test that asks for this version of pip."""
    home = cache.root() / "ansible-test"
    _write(home / f".ansible/test/cache/get_pip_{pip.replace('.', '_')}.py", GET_PIP)
    configuration = home / ".config/pip/pip.conf"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    with configuration.open("w") as file:
        _pip_configuration().write(file)
    return home


def _pip_configuration() -> configparser.RawConfigParser:
    """What files and variables tell pip here: ansible-test passes no variables on."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    configuration = configparser.RawConfigParser()
    configuration.add_section("global")
    configuration.set("global", "quiet", "1")
    for line in listed.splitlines():
        key, value = line.split("=", 1)
        configuration.set("global", key.rpartition(".")[2], ast.literal_eval(value))
    return configuration


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
