# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three hosts: real ones where this machine can have them, else three places on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..fleet import Fleet, specs
from ..fleet_host import RELEASES
from ..process import WorldError

NAMES = ("host1", "host2", "host3")

#: No connection and no daemon: each host is a conda root of its own.
LOCAL = """\
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    env_deploy_envs_dir: "{{ inventory_dir }}/{{ inventory_hostname }}/conda/envs"
    env_deploy_register_conda_root: "{{ inventory_dir }}/{{ inventory_hostname }}/conda"
  hosts:
    host1:
    host2:
    host3:
"""


@dataclass(frozen=True)
class Hosts:
    """How commands name the hosts and where the environment is on them."""

    real: bool
    kind: str
    inventory: str
    environments: str
    explanation: str


@contextmanager
def started(directory: Path) -> Iterator[Hosts]:
    """Three hosts, which end with the block."""
    if os.geteuid() or sys.platform != "linux":
        yield _local(directory, "This is not root on Linux")
        return
    fleet = Fleet(directory / "fleet", specs(len(NAMES), RELEASES, "disk", controller=False))
    try:
        fleet.start(owner=os.getpid())
    except (WorldError, OSError) as error:
        yield _local(directory, f"Real hosts cannot be started here ({error})")
        return
    try:
        yield _REAL
    finally:
        fleet.stop()


_REAL = Hosts(
    real=True,
    kind="three hosts with an sshd each",
    inventory="fleet/inventory.yml",
    environments="/opt/conda/envs",
    explanation="Three real hosts were started, each with its own sshd, network, processes and disk.",
)


def _local(directory: Path, reason: str) -> Hosts:
    (directory / "inventory.yml").write_text(LOCAL)
    explanation = f"{reason}: the three hosts are three conda roots on this machine, without a connection."
    return Hosts(
        real=False,
        kind="three conda roots on this machine",
        inventory="inventory.yml",
        environments="{{ env_deploy_envs_dir }}",
        explanation=explanation,
    )
