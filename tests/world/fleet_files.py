# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet keeps in its directory: keys, inventory, logs, what the hosts write, and who is in it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .fleet_host import HostSpec
from .process import WorldError, run

# A socket's path holds 107 bytes; ssh puts 28 after this directory while it opens a shared connection.
LONGEST_CONTROL_PATH = 107 - 28


@dataclass(frozen=True)
class Member:
    """A running host."""

    spec: HostSpec
    address: str
    port: str
    pid: int


@dataclass(frozen=True)
class State:
    """A running fleet. `started` tells the supervisor from a later process with its number."""

    supervisor: int
    started: int
    machine: str
    interface: str
    network: str
    members: Mapping[str, Member]

    @property
    def alive(self) -> bool:
        return started(self.supervisor) == self.started


class Layout:
    """The paths below a fleet's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.inventory = directory / "inventory.yml"
        self.known_hosts = directory / "known_hosts"
        self.key = directory / "ssh/id_ed25519"
        self.control = directory / "cp"
        self.hosts = directory / "hosts"
        self.logs = directory / "log"
        self.log = self.logs / "supervisor.log"
        self.plan = directory / "plan.json"
        self.state = directory / "state.json"
        self._files = (self.state, self.inventory, self.known_hosts, self.plan)
        self._directories = (self.key.parent, self.control, self.hosts, self.logs)

    def check(self) -> None:
        """Raise an error if no fleet can live in this directory."""
        where = self.directory
        if not re.fullmatch(r"[\w./+@-]+", str(where), re.ASCII):
            raise WorldError(f"Overlayfs and ssh cannot take {where}; use a path of letters, digits and ./+@-_")
        if len(os.fsencode(self.control)) > LONGEST_CONTROL_PATH:
            raise WorldError(f"{where} is too long for ssh's sockets; use a directory with a shorter path")
        for path in (*self._files, *self._directories):
            if path.exists():
                raise WorldError(f"{path} is there already and is no fleet's; use another directory")

    def make(self, plan: str) -> None:
        # the plan comes first and goes last: all that lies beside one is a fleet's
        self.directory.mkdir(parents=True, exist_ok=True)
        replace(self.plan, plan)
        for directory in self._directories:
            directory.mkdir(mode=0o700)

    def read(self) -> State | None:
        """The fleet's state, running or killed; None if no fleet was left here."""
        try:
            found = json.loads(self.state.read_text())
        except FileNotFoundError:
            return None
        members = {
            name: Member(**{**member, "spec": HostSpec(**member["spec"])}) for name, member in found["members"].items()
        }
        return State(**{**found, "members": members})

    def write(self, state: State) -> None:
        replace(self.state, json.dumps(asdict(state), indent=2))

    def clear(self) -> None:
        """Remove all of the fleet, and the directory if nothing else is in it."""
        if not self.plan.exists():
            return
        self._close_connections()
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)
        for path in self._files:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.directory.rmdir()

    def _close_connections(self) -> None:
        """End the connections that Ansible keeps open for its next task."""
        for socket in self.control.glob("*"):
            command = ["ssh", "-F", "/dev/null", "-o", f"ControlPath={socket}", "-O", "exit", "fleet"]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)


def replace(path: Path, text: str) -> None:
    """Write a file that others read at any time."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def make_key(path: Path, comment: str) -> tuple[str, str]:
    """A new key for ssh: the private and the public half."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], timeout=30)
    return path.read_text(), path.with_name(f"{path.name}.pub").read_text()


def known_hosts(addresses: Mapping[str, str], keys: Mapping[str, str]) -> str:
    """Strict host keys: each host by its name and by its address."""
    return "".join(f"{name},{address} {' '.join(keys[name].split()[:2])}\n" for name, address in addresses.items())


def ssh_options(known: Path, source: str | None = None) -> list[str]:
    """What ssh is told beside the key; with `source`, nothing leaves the machine once the fleet has ended."""
    settings = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known),
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        **({"BindAddress": source} if source else {}),
    }
    return ["-F", "/dev/null", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]


def inventory(
    groups: Mapping[str, Mapping[str, str]], key: Path, options: list[str], control: Path | None = None
) -> str:
    """An Ansible inventory of groups of hosts with their addresses."""
    variables: dict[str, Any] = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": key,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": shlex.join(options),
        **({"ansible_control_path_dir": control} if control else {}),
    }
    lines = ["all:", "  vars:", *(f'    {name}: "{value}"' for name, value in variables.items()), "  children:"]
    for group, hosts in groups.items():
        lines += [f"    {group}:", "      hosts:" if hosts else "      hosts: {}"]
        for name, address in hosts.items():
            lines += [f"        {name}:", f'          ansible_host: "{address}"']
    return "\n".join([*lines, ""])
