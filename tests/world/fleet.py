# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of real hosts on this machine: an sshd each, over Debian 11, 12 and 13, with no way out.

    python -m world.fleet up --dir DIR --hosts 3 --controller
    ansible -i DIR/inventory.yml fleet -m ping
    python -m world.fleet down --dir DIR

Each host has network, mounts, processes, name and IPC of its own, and over a shared read-only
Debian an overlay for what it writes. Users: root, `plain` (no sudo) and `admin` (sudo without
a password), all with the fleet's key. A controller also has pip, venv and, in /root/fleet, the
key and an inventory of the others. Hosts reach each other and this machine's end of the cable,
nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType

from . import debian, netns
from .fleet_files import Layout, Member, State, ssh_options
from .fleet_host import PATH, RELEASES, HostSpec
from .fleet_supervisor import read_plan
from .process import WorldError, say

__all__ = ["Fleet", "Host", "HostSpec"]

PROGRAMS = {"ip": "iproute2", "tc": "iproute2", "nsenter": "util-linux", "ssh": "openssh-client"}
PATIENCE = 60.0
MOMENT = 0.01


class Host:
    """A running host, by its name in a fleet's directory."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._layout = layout
        self.name = name

    @property
    def member(self) -> Member:
        return _running(self._layout).members[self.name]

    @property
    def spec(self) -> HostSpec:
        return self.member.spec

    @property
    def address(self) -> str:
        return self.member.address

    @property
    def pid(self) -> int:
        """The host's first process, as this machine numbers it. Another one after each restart."""
        return self.member.pid

    @property
    def root(self) -> Path:
        """Its root directory, to look at files; an absolute symbolic link in it leads out of it."""
        return Path(f"/proc/{self.pid}/root")

    def run(
        self, command: str, *, user: str = "root", check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the host's namespaces, with the environment sshd would give it.

        Quicker than ssh, not counted in `interface_bytes`, and works while the host is cut off.
        """
        home = "/root" if user == "root" else f"/home/{user}"
        path = PATH if user == "root" else "/usr/local/bin:/usr/bin:/bin:/usr/games"
        environment = {"HOME": home, "USER": user, "LOGNAME": user, "SHELL": "/bin/bash", "PATH": path}
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        argv = [*self._inside(), *become, "bash", "-c", f"cd\n{command}"]
        return self._finish(command, argv, check, timeout, environment)

    def ssh(
        self, command: str, *, user: str = "root", check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command over a new connection of ssh."""
        options = ssh_options(self._layout.known_hosts, _running(self._layout).machine)
        options += ["-i", str(self._layout.key), "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        return self._finish(command, ["ssh", *options, f"{user}@{self.address}", command], check, timeout)

    def push(self, local: Path, remote: str) -> None:
        """Copy a file or a directory's contents to an absolute path, as root, past the network."""
        if local.is_dir():
            source = ["tar", "--owner=0", "--group=0", "-C", str(local), "-c", "."]
            script = 'mkdir -p "$0" && tar -C "$0" -x'
        else:
            source = ["cat", str(local)]
            script = f'mkdir -p "$(dirname "$0")" && cat >"$0" && chmod {local.stat().st_mode & 0o777:o} "$0"'
        with subprocess.Popen(source, stdout=subprocess.PIPE) as sender:
            receiver = [*self._inside(), "bash", "-c", script, remote]
            done = subprocess.run(receiver, stdin=sender.stdout, capture_output=True, text=True, check=False)
        if sender.returncode or done.returncode:
            raise WorldError(f"{local} did not arrive at {self.name}:{remote}: {done.stderr.strip()}")

    def interface_bytes(self) -> tuple[int, int]:
        """The bytes the host has received and sent since its start, headers included."""
        return netns.counters(self.pid)

    def cut(self) -> None:
        """Pull the host's cable."""
        self._cable("down")

    def mend(self) -> None:
        """Put the cable back."""
        self._cable("up")

    def crash(self) -> None:
        """End all of its processes at once and wait for its restart; only what is on its disk stays."""
        before = self.pid
        os.kill(before, signal.SIGKILL)
        _wait(lambda: self.pid != before, f"{self.name} does not come back; see {self._layout.log}")
        self.await_sshd()

    def await_sshd(self) -> None:
        """Return once its sshd answers."""
        source = _running(self._layout).machine
        address = self.address
        _wait(lambda: _answers(address, source), f"No sshd answers on {self.name}; see {self._layout.logs}")

    def _cable(self, state: str) -> None:
        fleet = _running(self._layout)
        netns.ip([f"link set {fleet.members[self.name].port} {state}"], inside=fleet.supervisor)

    def _inside(self) -> list[str]:
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd")
        return ["nsenter", f"--target={self.pid}", *spaces, "--"]

    def _finish(
        self, command: str, argv: Sequence[str], check: bool, timeout: float, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            words = " | ".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            raise WorldError(f"{self.name}: `{command}` failed with {done.returncode}: {words}")
        return done


class Fleet:
    """Hosts that live in a directory. As a context manager they end with the block, or with this process."""

    def __init__(self, directory: Path, hosts: Sequence[HostSpec] = (), *, lifetime: float = 3600) -> None:
        self._layout = Layout(directory.absolute())
        self._wanted = list(hosts)
        self._lifetime = lifetime
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Fleet:
        self.start(owner=os.getpid())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def inventory(self) -> Path:
        """An Ansible inventory with the groups `fleet` and `controllers`."""
        return self._layout.inventory

    @property
    def state(self) -> State:
        return _running(self._layout)

    @property
    def hosts(self) -> list[Host]:
        """All hosts that are not controllers."""
        return [self.host(name) for name, member in self.state.members.items() if not member.spec.controller]

    @property
    def supervisor(self) -> int:
        """The process that everything else ends with."""
        return self.state.supervisor

    def host(self, name: str) -> Host:
        if name not in self.state.members:
            raise WorldError(f"There is no host {name!r} in this fleet; it has {', '.join(self.state.members)}")
        return Host(self._layout, name)

    def start(self, *, owner: int | None = None) -> None:
        """Start the hosts and return when all answer; with an owner they end when that process does."""
        _require_machine()
        self._check()
        if self._is_up():
            return
        self._layout.clear()
        self._layout.check()
        lowers = {spec.name: str(debian.ensure_root(spec.release, spec.packages)) for spec in self._wanted}
        hosts = [asdict(spec) for spec in self._wanted]
        plan = {"hosts": hosts, "lowers": lowers, "lifetime": self._lifetime, "owner": owner}
        self._layout.make(json.dumps(plan))
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the fleet and remove it from its directory; nothing to do if there is none."""
        _require_machine()
        state = self._layout.read()
        supervisor = state.supervisor if state and state.alive else self._process and self._process.pid
        if supervisor and (self._process is None or self._process.poll() is None):
            _terminate(supervisor)
        if self._process:
            self._process.wait()
        if state and supervisor:
            # of a killed supervisor it stays a moment longer
            _wait(lambda: not netns.has(state.interface), f"{state.interface} stays; remove it with ip link del")
        self._layout.clear()

    def _check(self) -> None:
        if not 0 < len(self._wanted) <= netns.CAPACITY:
            raise WorldError(f"A fleet has 1 to {netns.CAPACITY} hosts, not {len(self._wanted)}")
        if len({spec.name for spec in self._wanted}) < len(self._wanted):
            raise WorldError("Two hosts of this fleet have the same name; give each its own")
        for spec in self._wanted:
            spec.check()

    def _is_up(self) -> bool:
        state = self._layout.read()
        if state is None or not state.alive:
            return False
        if list(read_plan(self._layout).hosts) != self._wanted:
            raise WorldError(f"Another fleet is up in {self._layout.directory}; take it down first")
        say(f"this fleet is up already in {self._layout.directory}")
        return True

    def _launch(self) -> None:
        command = [sys.executable, "-m", "world.fleet_supervisor", str(self._layout.directory)]
        environment = {"PATH": os.environ.get("PATH", PATH), "PYTHONPATH": str(Path(__file__).parents[1])}
        with self._layout.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        _wait(self._has_booted, "The fleet does not start; start again on a quieter machine")
        for name in self.state.members:
            Host(self._layout, name).await_sshd()

    def _has_booted(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise WorldError(f"The fleet does not start: {self._layout.log.read_text().strip() or 'it says nothing'}")
        return self._layout.state.exists()


def _require_machine() -> None:
    if platform.system() != "Linux" or os.geteuid() != 0:
        raise WorldError("A fleet needs Linux and root; start it as root on Linux")
    for program, package in PROGRAMS.items():
        if not shutil.which(program):
            raise WorldError(f"A fleet needs {program} on this machine; install Debian's {package}")


def _running(layout: Layout) -> State:
    state = layout.read()
    if state is None or not state.alive:
        raise WorldError(f"No fleet is up in {layout.directory}; start one with `up --dir {layout.directory}`")
    return state


def _terminate(supervisor: int) -> None:
    """End a supervisor; kill it if it takes too long."""
    descriptor = os.pidfd_open(supervisor)
    try:
        for number, seconds in ((signal.SIGTERM, PATIENCE), (signal.SIGKILL, PATIENCE)):
            signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], seconds)[0]:
                return
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _answers(address: str, source: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=5, source_address=(source, 0)) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise WorldError(complaint)
        time.sleep(MOMENT)


def specs(hosts: int, releases: Sequence[str], storage: str, *, controller: bool) -> list[HostSpec]:
    """host1, host2, ... with the releases in turn, and a controller if wanted."""
    found = [
        HostSpec(f"host{number}", release, storage=storage)
        for number, release in enumerate(islice(cycle(releases), hosts), 1)
    ]
    return [*found, HostSpec("controller", controller=True, storage=storage)] if controller else found


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m world.fleet", description="Real hosts without a way out.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a fleet; returns when every sshd answers")
    up.add_argument("--hosts", type=int, default=3)
    up.add_argument("--releases", default=",".join(RELEASES), help="taken in turn (default: %(default)s)")
    up.add_argument("--controller", action="store_true", help="one more host with the key, an inventory and pip")
    up.add_argument("--lifetime", type=float, default=3600, help="seconds to its own end (default: %(default)s)")
    up.add_argument("--storage", choices=("disk", "tmpfs"), default="disk")
    up.add_argument("--owner", type=int, help="a process with which the fleet ends")
    down = commands.add_parser("down", help="end it and leave nothing behind")
    for command in (up, down):
        command.add_argument("--dir", type=Path, required=True)
    given = parser.parse_args(words)
    try:
        if given.command == "up":
            wanted = specs(given.hosts, given.releases.split(","), given.storage, controller=given.controller)
            fleet = Fleet(given.dir, wanted, lifetime=given.lifetime)
            fleet.start(owner=given.owner)
            say(f"up: ansible -i {fleet.inventory} all -m ping")
        else:
            Fleet(given.dir).stop()
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
