# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that holds a fleet: its hosts are children of it and its switch is in its namespace.

Started by `world.fleet` with the fleet's directory, which holds plan.json. When it ends, in
whatever way, the kernel kills the first process of each host, and with that all that is in it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from . import fleet_files, fleet_host, kernel, netns
from .fleet_files import Layout, Member, State
from .fleet_host import Belongings, HostSpec
from .process import WorldError

OWN = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
# A host that ends by itself sooner than this would only do so again.
SHORTEST_LIFE = 1.0


@dataclass(frozen=True)
class Plan:
    """What was asked for. The fleet ends with its owner, if it has one."""

    hosts: Sequence[HostSpec]
    lowers: Mapping[str, str]
    lifetime: float
    owner: int | None


def read_plan(layout: Layout) -> Plan:
    found: dict[str, Any] = json.loads(layout.plan.read_text())
    return Plan(**{**found, "hosts": [HostSpec(**spec) for spec in found["hosts"]]})


@dataclass
class Birth:
    """A host between fork and init: it waits at `go` until it has a network."""

    name: str
    pid: int
    reports: int
    go: int

    def await_namespaces(self) -> None:
        if os.read(self.reports, 1) != b"r":
            self.await_init()
            raise WorldError(f"{self.name} ended before it had namespaces; look for the kernel's reason in dmesg")

    def let_go(self) -> None:
        os.write(self.go, b"g")
        os.close(self.go)

    def await_init(self) -> None:
        """Return once init runs; raise what the child could not do."""
        with os.fdopen(self.reports) as reports:
            trouble = reports.read()
        if trouble:
            raise WorldError(f"{self.name} cannot start: {trouble}")


class Supervisor:
    """Starts the hosts, starts again those that end, and ends them all."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._plan = read_plan(layout)
        self._machine = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._deadline = time.monotonic() + self._plan.lifetime
        self._since: dict[int, float] = {}
        self._ending = False

    def run(self) -> None:
        woken = self._listen()
        switch = netns.build(self._machine)
        try:
            self._state = self._introduce(switch)
            self._belongings = self._equip()
            self._boot(list(self._state.members))
            self._watch(woken)
        finally:
            self._end(switch)

    def _listen(self) -> int:
        """Have signals written to a pipe; its reading end."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(wake)
        for number in SIGNALS:
            signal.signal(number, self._note)
        return woken

    def _note(self, number: int, _frame: object) -> None:
        self._ending = self._ending or number != signal.SIGCHLD

    def _introduce(self, switch: netns.Switch) -> State:
        members = {
            spec.name: Member(spec, switch.address(index), f"port{index}", 0)
            for index, spec in enumerate(self._plan.hosts)
        }
        me = os.getpid()
        since = fleet_files.started(me)
        assert since is not None
        return State(me, since, switch.machine, switch.interface, str(switch.network), members)

    def _equip(self) -> dict[str, Belongings]:
        """Make the keys, and say for each host which of them and which other files it is given."""
        layout, members = self._layout, self._state.members
        private, public = fleet_files.make_key(layout.key, "fleet")
        keys = {name: fleet_files.make_key(layout.hosts / f"{name}.key", name) for name in members}
        addresses = {name: member.address for name, member in members.items()}
        known = fleet_files.known_hosts(addresses, {name: pair[1] for name, pair in keys.items()})
        layout.known_hosts.write_text(known)
        layout.inventory.write_text(self._inventory())
        names = "".join(f"{address}\t{name}\n" for name, address in addresses.items())
        hosts = {"etc/hosts": f"127.0.0.1\tlocalhost\n{names}"}
        control = {"root/fleet/inventory.yml": self._inner_inventory(), "root/fleet/known_hosts": known}
        return {
            name: Belongings(
                spec=member.spec,
                lower=Path(self._plan.lowers[name]),
                private={
                    "etc/ssh/ssh_host_ed25519_key": keys[name][0],
                    **({"root/fleet/id_ed25519": private} if member.spec.controller else {}),
                },
                public=hosts | control if member.spec.controller else hosts,
                authorized=public,
            )
            for name, member in members.items()
        }

    def _inventory(self) -> str:
        options = fleet_files.ssh_options(self._layout.known_hosts, self._state.machine)
        groups = {"fleet": self._addresses(controller=False), "controllers": self._addresses(controller=True)}
        return fleet_files.inventory(groups, self._layout.key, options, self._layout.control)

    def _inner_inventory(self) -> str:
        home = Path("/root/fleet")
        options = fleet_files.ssh_options(home / "known_hosts")
        return fleet_files.inventory({"fleet": self._addresses(controller=False)}, home / "id_ed25519", options)

    def _addresses(self, *, controller: bool) -> dict[str, str]:
        members = self._state.members.items()
        return {name: member.address for name, member in members if member.spec.controller == controller}

    def _boot(self, names: Sequence[str]) -> None:
        births = [self._give_birth(name) for name in names]
        members = dict(self._state.members)
        for birth in births:
            member = members[birth.name]
            birth.await_namespaces()
            try:
                netns.connect(member.port, birth.pid, member.address, member.spec.rate)
            except (WorldError, OSError):
                # a host that has given up knows better why
                os.close(birth.go)
                birth.await_init()
                raise
            birth.let_go()
            members[birth.name] = replace(member, pid=birth.pid)
        for birth in births:
            birth.await_init()
        self._state = replace(self._state, members=members)
        self._layout.write(self._state)

    def _give_birth(self, name: str) -> Birth:
        (storage := self._layout.hosts / name).mkdir(exist_ok=True)
        reports, report = os.pipe()
        gate, go = os.pipe()
        pid = kernel.fork_init()
        if not pid:
            os.close(go)
            live(self._belongings[name], storage, self._layout.logs / f"{name}.log", report, gate)
        os.close(report)
        os.close(gate)
        self._since[pid] = time.monotonic()
        return Birth(name, pid, reports, go)

    def _watch(self, woken: int) -> None:
        """Until the fleet's time is over: on a signal, at the deadline, or with its owner."""
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        if self._plan.owner:
            try:
                poll.register(os.pidfd_open(self._plan.owner), select.POLLIN)
            except ProcessLookupError:
                return
        while not self._ending and (left := self._deadline - time.monotonic()) > 0:
            ready = [descriptor for descriptor, _event in poll.poll(min(left, 3600) * 1000)]
            if any(descriptor != woken for descriptor in ready):
                return
            if ready:
                os.read(woken, 4096)
                self._take_in_the_dead()

    def _take_in_the_dead(self) -> None:
        with suppress(ChildProcessError):
            while not self._ending:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._restart(pid, killed=os.WIFSIGNALED(status))

    def _restart(self, pid: int, *, killed: bool) -> None:
        """A host that ended comes back with what is on its disk, as after a power cut."""
        age = time.monotonic() - self._since.pop(pid)
        name = next((name for name, member in self._state.members.items() if member.pid == pid), None)
        if name is None:
            return
        if age < SHORTEST_LIFE and not killed:
            say(f"{name} ended by itself {age:.2f} s after its start and is left so; see {name}.log")
            return
        try:
            self._boot([name])
        except (WorldError, OSError) as error:
            say(f"{name} could not be started again: {error}")

    def _end(self, switch: netns.Switch) -> None:
        for pid in self._since:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in self._since:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        netns.demolish(switch, self._machine)


def live(host: Belongings, storage: Path, log: Path, report: int, gate: int) -> NoReturn:
    """The life of a host's first process, from fork to init."""
    try:
        kernel.die_with_parent()
        signal.set_wakeup_fd(-1)
        for number in (*SIGNALS, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        kernel.unshare(OWN)
        os.umask(0o022)
        socket.sethostname(host.spec.name)
        os.write(report, b"r")
        fleet_host.become(host, storage, log)
        # an end of file: the supervisor has ended already
        if os.read(gate, 1) == b"g":
            fleet_host.start_init()
    except BaseException as error:
        os.write(report, f"{error}".encode())
    finally:
        os._exit(1)


def say(event: str) -> None:
    print(f"fleet: {event}", file=sys.stderr, flush=True)


def main() -> int:
    layout = Layout(Path(sys.argv[1]))
    try:
        Supervisor(layout).run()
    except (WorldError, OSError) as error:
        say(f"{error}")
        return 1
    layout.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
