# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a fleet: one switch in a namespace of its own, a cable to each host and one to this machine.

The switch is a bridge in the supervisor's network namespace. All cables have an end in there, so
that they go with it; nothing routes, and no host has a way out.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import kernel
from .process import WorldError

# Reserved for tests between networks (RFC 2544): in use nowhere else.
RANGE = ipaddress.IPv4Network("198.18.0.0/15")
PREFIX = 24
CAPACITY = 250
NIC = "eth0"


@dataclass(frozen=True)
class Switch:
    """Where a fleet's addresses lie, and what this machine's end of its cable is called."""

    network: ipaddress.IPv4Network
    interface: str

    @property
    def machine(self) -> str:
        """This machine's address."""
        return str(self.network[1])

    def address(self, index: int) -> str:
        """The address of the host with this index, from 0."""
        return str(self.network[index + 2])


def build(machine: int) -> Switch:
    """Move this process into a new network namespace with a switch, and a cable to the namespace `machine`."""
    kernel.unshare(kernel.CLONE_NEWNET)
    _forget_ipv6()
    ip(["link add switch type bridge stp_state 0 forward_delay 0", "link set lo up", "link set switch up"])
    with kernel.opened("/proc/self/ns/net") as here, kernel.network_of(machine):
        switch = _claim(here)
    ip(["link set machine master switch", "link set machine up"])
    return switch


def connect(port: str, pid: int, address: str, rate: str = "") -> None:
    """Put a cable between the switch and the namespace of a process, which gets this address.

    With a *rate* as tc(8) reads it, as in 50mbit, no more goes through the cable, each way.
    """
    # the cable of a host that died a moment ago may still be there
    _remove(port)
    peer = f"name {NIC} address {_hardware(address)} netns {pid}"
    ip([f"link add {port} type veth peer {peer}", f"link set {port} master switch up"])
    _limit(port, rate)
    with kernel.opened(f"/proc/{pid}/ns/net") as namespace, kernel.network_of(namespace):
        _forget_ipv6()
        ip(["link set lo up", f"addr add {address}/{PREFIX} dev {NIC}", f"link set {NIC} up"])
        _limit(NIC, rate)


def demolish(switch: Switch, machine: int) -> None:
    """Take the machine's cable away now, rather than when the kernel gets round to it."""
    with kernel.network_of(machine):
        _remove(switch.interface)


def _remove(interface: str) -> None:
    try:
        if has(interface):
            ip([f"link del {interface}"])
    except WorldError:
        # the kernel may have removed it in between
        if has(interface):
            raise


def has(interface: str) -> bool:
    """Whether there is an interface of this name in the network namespace of this process."""
    return any(line.split(":")[0].strip() == interface for line in Path("/proc/self/net/dev").read_text().splitlines())


def _limit(interface: str, rate: str) -> None:
    """Let no more than that leave by this interface."""
    if rate:
        # a queue as a router at the end of such a line has it
        words = f"tc qdisc add dev {interface} root tbf rate {rate} burst 64kb latency 100ms"
        done = subprocess.run(words.split(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise WorldError(f"{words}: {' '.join(done.stderr.split())}; the kernel needs sch_tbf for this")


def ip(commands: Sequence[str], *, inside: int | None = None) -> None:
    """Run commands of ip(8) at once, in the network namespace of process `inside` if one is given."""
    prefix = ["nsenter", f"--net=/proc/{inside}/ns/net"] if inside else []
    script = "".join(f"{command}\n" for command in commands)
    done = subprocess.run([*prefix, "ip", "-batch", "-"], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorldError(f"ip {'; '.join(commands)}: {' '.join(done.stderr.split())}")


def counters(pid: int) -> tuple[int, int]:
    """The bytes received and sent through the cable of the namespace of a process."""
    for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines():
        name, numbers = line.partition(":")[::2]
        if name.strip() == NIC:
            fields = numbers.split()
            return int(fields[0]), int(fields[8])
    raise WorldError(f"Process {pid} has no {NIC}; its host has ended")


def _claim(far_end: int) -> Switch:
    """Take a free network. The interface's name is the lock between fleets that start together."""
    busy = _routed()
    networks = list(enumerate(RANGE.subnets(new_prefix=PREFIX)))
    # at random, so that a late packet or connection of an ended fleet never meets a new one
    for number, network in random.sample(networks, len(networks)):
        switch = Switch(network, f"fleet{number}")
        if has(switch.interface) or any(network.overlaps(other) for other in busy):
            continue
        ip([f"link add {switch.interface} type veth peer name machine netns /proc/{os.getpid()}/fd/{far_end}"])
        settings = Path("/proc/sys/net")
        _write(settings / "ipv4/conf" / switch.interface / "forwarding", "0")
        _write(settings / "ipv6/conf" / switch.interface / "disable_ipv6", "1")
        ip([f"addr add {switch.machine}/{PREFIX} dev {switch.interface}", f"link set {switch.interface} up"])
        return switch
    raise WorldError(f"All networks of {RANGE} are taken; end another fleet first")


def _hardware(address: str) -> str:
    """The same each time a host starts, so that its neighbours find it at once."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x00, *ipaddress.IPv4Address(address).packed))


def _routed() -> list[ipaddress.IPv4Network]:
    """The networks this machine has a route to, default routes aside."""
    routes = subprocess.run(["ip", "-json", "-4", "route", "show", "table", "all"], capture_output=True, check=True)
    named = (route["dst"] for route in json.loads(routes.stdout or "[]"))
    networks = (ipaddress.IPv4Network(name, strict=False) for name in named if name != "default")
    return [network for network in networks if network.prefixlen]


def _forget_ipv6() -> None:
    for where in ("all", "default"):
        _write(Path("/proc/sys/net/ipv6/conf") / where / "disable_ipv6", "1")


def _write(setting: Path, value: str) -> None:
    # a kernel may lack IPv6
    if setting.exists():
        setting.write_text(value)
