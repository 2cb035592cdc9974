# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Someone who runs playbooks against a fleet, and what is asked of the hosts afterwards."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from world import tree_check
from world.ansible import Play, play
from world.fleet import Fleet, Host


class Controller:
    """A person who runs playbooks against the fleet."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self._fleet = fleet
        self.directory = directory

    def rollout(self, bundle: Path, *arguments: str) -> Play:
        """Roll out without bytecode, which takes most of the time and few tests need."""
        return self.run("rollout", "-e", f"env_deploy_bundle={bundle} env_deploy_bytecode=false", *arguments)

    def run(self, playbook: str, *arguments: str) -> Play:
        inventory = ("-i", str(self._fleet.inventory))
        return play(f"airgap.conda.{playbook}", *inventory, *arguments, cwd=self.directory, home=self.directory)


def broken_promises(host: Host, prefix: str) -> dict[str, list[str]]:
    """Return what does not hold for the tree at *prefix*: see tree_check."""
    host.push(Path(tree_check.__file__), "/tmp/tree_check.py")
    found: dict[str, list[str]] = json.loads(
        host.run(f"PYTHONDONTWRITEBYTECODE=1 python3 /tmp/tree_check.py {shlex.quote(prefix)}").stdout
    )
    return {check: paths for check, paths in found.items() if paths}
