# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet is real, has no way out, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from world.fleet import Fleet, HostSpec, main
from world.fleet_files import State
from world.process import WorldError

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a fleet needs Linux and root; run the suite as root"
)

BIN = Path(sys.executable).parent
EXPECTED = {
    "bullseye": ("Python 3.9", "glibc 2.31"),
    "bookworm": ("Python 3.11", "glibc 2.36"),
    "trixie": ("Python 3.13", "glibc 2.41"),
}
HOSTS = {"host1": "bullseye", "host2": "bookworm", "host3": "trixie"}
# One of each kind of storage.
PAIR = [HostSpec("one"), HostSpec("two", storage="tmpfs")]
# An address for documentation: there is nothing to connect to, and no route to try.
CONNECT_OUTSIDE = "python3 -c 'import socket; socket.create_connection((\"203.0.113.1\", 80), 5)'"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    hosts = [HostSpec(name, release) for name, release in HOSTS.items()]
    with Fleet(tmp_path_factory.mktemp("f"), [*hosts, HostSpec("controller", controller=True)]) as started:
        yield started


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet for a test that ends it."""
    started = Fleet(tmp_path / "f", PAIR, lifetime=120)
    started.start()
    yield started
    started.stop()


class Traces:
    """All by which a running fleet can be found on this machine."""

    def __init__(self, fleet: Fleet) -> None:
        self._state: State = fleet.state
        self._directory = str(fleet.inventory.parent)
        leaders = [fleet.supervisor, *(member.pid for member in self._state.members.values())]
        # Open, or the next fleet on this machine gets their numbers. Who holds a name keeps no mount, cable or process.
        self._open = [open(f"/proc/{pid}/ns/uts", "rb") for pid in leaders]  # noqa: SIM115  # until the test has ended
        self._namespaces = {_namespace(pid) for pid in leaders} - {_namespace(os.getpid()), ""}

    def left(self) -> list[str]:
        interfaces = os.listdir("/sys/class/net")
        found = [name for name in interfaces if name == self._state.interface]
        found += [line for line in Path("/proc/mounts").read_text().splitlines() if self._directory in line]
        found += subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        found += [f"process {pid}" for pid in pids if _namespace(pid) in self._namespaces]
        found += [f"supervisor {pid}" for pid in pids if pid == self._state.supervisor and self._state.alive]
        return found


def _namespace(pid: int) -> str:
    """That of a process for the machine's name, which all of a fleet have of their own; empty for none."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/uts")
    return ""


def _soon(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def _ansible(fleet: Fleet, *words: str) -> str:
    command = [str(BIN / "ansible"), "-i", str(fleet.inventory), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "release"), HOSTS.items())
def test_each_host_is_its_release(fleet: Fleet, name: str, release: str) -> None:
    told = fleet.host(name).run("python3 --version; getconf GNU_LIBC_VERSION; uname -n").stdout.splitlines()
    python, libc = EXPECTED[release]
    assert told[0].startswith(f"{python}.")
    assert told[1:] == [libc, name]


@pytest.mark.parametrize("name", [*HOSTS, "controller"])
def test_no_host_has_a_way_out(fleet: Fleet, name: str) -> None:
    host = fleet.host(name)
    began = time.monotonic()
    tried = host.run(CONNECT_OUTSIDE, check=False)
    assert "Network is unreachable" in tried.stderr
    assert time.monotonic() - began < 2
    routes = (host.root / "proc/1/net/route").read_text().splitlines()[1:]
    assert [route.split()[2] for route in routes] == ["00000000"], "there is a gateway"
    assert (host.root / "proc/1/net/if_inet6").read_text() == ""


def test_this_machine_forwards_nothing_for_the_fleet(fleet: Fleet) -> None:
    setting = Path("/proc/sys/net/ipv4/conf") / fleet.state.interface / "forwarding"
    assert setting.read_text().strip() == "0"


@pytest.mark.parametrize("name", HOSTS)
def test_hosts_are_bare(fleet: Fleet, name: str) -> None:
    found = fleet.host(name).run("command -v zstd rsync gcc curl wget ip conda", check=False).stdout
    assert found == ""


def test_ansible_reaches_every_host(fleet: Fleet) -> None:
    answers = _ansible(fleet, "all", "-m", "ansible.builtin.ping")
    assert answers.count('"ping": "pong"') == 4


def test_ansible_becomes_root_as_admin_and_not_as_plain(fleet: Fleet) -> None:
    # the inventory's user would win over -u
    become = ("fleet", "-b", "-m", "ansible.builtin.command", "-a", "id -u")
    assert _ansible(fleet, "-e", "ansible_user=admin", *become).count("rc=0 >>\n0") == 3
    with pytest.raises(AssertionError, match="Missing sudo password"):
        _ansible(fleet, "-e", "ansible_user=plain", *become)


@pytest.mark.parametrize("user", ["root", "plain", "admin"])
def test_run_and_ssh_give_the_same(fleet: Fleet, user: str) -> None:
    command = "id; pwd; umask; env | grep -E '^(HOME|USER|LOGNAME|SHELL|PATH)=' | sort"
    for host in fleet.hosts:
        assert host.run(command, user=user).stdout == host.ssh(command, user=user).stdout


def test_host_keys_are_strict(fleet: Fleet) -> None:
    address = fleet.host("host1").address
    scan = subprocess.run(["ssh-keyscan", "-t", "ed25519", address], capture_output=True, text=True, check=True)
    key = scan.stdout.split()[2]
    lines = fleet.inventory.with_name("known_hosts").read_text().splitlines()
    known = dict(line.split(" ssh-ed25519 ") for line in lines)
    assert known[f"host1,{address}"] == key
    assert len(set(known.values())) == 4


def test_controller_reaches_the_hosts(fleet: Fleet) -> None:
    controller = fleet.host("controller")
    controller.run("python3 -m venv venv && venv/bin/pip --version && venv/bin/python -c 'import ssl, lzma'")
    options = "-F /dev/null -i id_ed25519 -o StrictHostKeyChecking=yes -o UserKnownHostsFile=known_hosts"
    for name in HOSTS:
        assert controller.run(f"cd fleet && ssh {options} {name} uname -n").stdout == f"{name}\n"
    inner = (controller.root / "root/fleet/inventory.yml").read_text()
    assert all(host.address in inner for host in fleet.hosts)


def test_push_is_not_counted(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    script = tmp_path / "a/b/script"
    script.write_bytes(b"#!/bin/sh\n" + b"#" * 1_000_000)
    script.chmod(0o755)
    host = fleet.host("host2")
    before = host.interface_bytes()
    host.push(tmp_path / "a", "/srv/tree")
    host.push(script, "/srv/new/script")
    assert host.run("/srv/tree/b/script; /srv/new/script; cmp /srv/tree/b/script /srv/new/script").stdout == ""
    received, sent = (after - then for after, then in zip(host.interface_bytes(), before, strict=True))
    assert received < 10_000 and sent < 10_000
    host.ssh("head -c 1000000 /dev/zero")
    assert host.interface_bytes()[1] - before[1] > 1_000_000


def test_a_cut_cable_can_be_mended(fleet: Fleet) -> None:
    host = fleet.host("host3")
    host.cut()
    try:
        with pytest.raises(OSError):
            socket.create_connection((host.address, 22), timeout=1, source_address=(fleet.state.machine, 0))
        assert host.run("uname -n").stdout == "host3\n"
    finally:
        host.mend()
    assert host.ssh("uname -n").stdout == "host3\n"


def test_orphans_are_taken_in(fleet: Fleet) -> None:
    host = fleet.host("host1")
    host.run("(sh -c 'sleep 0.1 & exec sleep 0.05' &)")
    assert _soon(lambda: "Z" not in host.run("cut -d' ' -f3 /proc/[0-9]*/stat", check=False).stdout.split())


def test_a_crashed_host_comes_back_with_its_disk(brief: Fleet) -> None:
    for host in brief.hosts:
        host.run("mkdir /opt/kept && sync && (sleep 1000 >/dev/null 2>&1 &)")
        before = host.pid
        host.crash()
        assert host.pid != before
        kept = host.ssh("ls /opt").stdout.split()
        assert kept == (["kept"] if host.spec.storage == "disk" else [])


def test_volumes_are_file_systems_of_their_own(tmp_path: Path) -> None:
    spec = HostSpec("small", volumes={"/opt": "size=1m", "/tmp": "noexec"})
    with Fleet(tmp_path / "f", [spec]) as small:
        host = small.host("small")
        assert "No space left" in host.run("head -c 2000000 /dev/zero >/opt/x", check=False).stderr
        assert "Permission denied" in host.run("cp /bin/true /tmp && /tmp/true", check=False).stderr
        assert host.run("ln /etc/passwd /opt/y", check=False).returncode


def test_a_thin_cable_holds_back_each_way(tmp_path: Path) -> None:
    with Fleet(tmp_path / "f", [HostSpec("one", rate="40mbit"), HostSpec("two")]) as pair:
        one, two = pair.hosts
        for host in (one, two):
            host.push(pair.inventory.with_name("ssh") / "id_ed25519", "/root/key")
        options = "-F /dev/null -i key -o StrictHostKeyChecking=no"
        one.run(f"ssh {options} {two.address} head -c 2000000 /dev/zero >/srv/zeros")
        one.run(f"ssh {options} {two.address} 'cat >/srv/zeros' </srv/zeros")
        port = pair.state.members["one"].port
        assert _held_back(one.pid, "eth0") > 0
        assert _held_back(pair.supervisor, port) > 0
        assert _held_back(two.pid, "eth0") == 0


def _held_back(inside: int, interface: str) -> int:
    """How often a packet had to wait for its turn at an interface in the network of a process."""
    command = ["nsenter", f"--net=/proc/{inside}/ns/net", "tc", "-s", "qdisc", "show", "dev", interface]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"overlimits (\d+)", said)[0])


def test_two_fleets_live_side_by_side(brief: Fleet, tmp_path: Path) -> None:
    with Fleet(tmp_path / "g", PAIR) as other:
        assert other.state.network != brief.state.network
        for host in (*other.hosts, *brief.hosts):
            assert host.ssh("uname -n").stdout == f"{host.name}\n"
        outside = other.hosts[0].run(CONNECT_OUTSIDE.replace("203.0.113.1", brief.hosts[0].address), check=False)
        assert "Network is unreachable" in outside.stderr


def test_up_again_fits_or_fails(brief: Fleet) -> None:
    directory = brief.inventory.parent
    supervisor = brief.supervisor
    Fleet(directory, PAIR).start()
    assert brief.supervisor == supervisor
    with pytest.raises(WorldError, match="take it down first"):
        Fleet(directory, PAIR[:1]).start()


def test_killed_supervisor_leaves_nothing_running(brief: Fleet) -> None:
    brief.host("one").ssh("nohup setsid sleep 1000 >/dev/null 2>&1 &")
    traces = Traces(brief)
    assert len(traces.left()) > 6
    os.kill(brief.supervisor, signal.SIGKILL)
    assert _soon(lambda: not traces.left()), traces.left()


def test_down_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "f"
    assert main(["up", "--dir", str(directory), "--hosts", "2", "--lifetime", "120"]) == 0
    fleet = Fleet(directory)
    _ansible(fleet, "all", "-m", "ansible.builtin.ping")
    masters = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, directory)]
    assert masters, "Ansible keeps no connections"
    traces = Traces(fleet)
    assert main(["down", "--dir", str(directory)]) == 0
    assert traces.left() == []
    assert not directory.exists()
    assert _soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in masters))
    assert main(["down", "--dir", str(directory)]) == 0


def _mentions(cmdline: Path, directory: Path) -> bool:
    try:
        return f"{directory}/cp".encode() in cmdline.read_bytes()
    except OSError:
        return False


def test_lifetime_ends_the_fleet(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "f", PAIR, lifetime=2)
    fleet.start()
    traces = Traces(fleet)
    assert _soon(lambda: not (tmp_path / "f").exists())
    assert _soon(lambda: not traces.left()), traces.left()
    fleet.stop()


def test_fleet_ends_with_its_owner(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100"]) as owner:
        fleet = Fleet(tmp_path / "f", PAIR)
        fleet.start(owner=owner.pid)
        traces = Traces(fleet)
        owner.kill()
    assert _soon(lambda: not (tmp_path / "f").exists())
    assert _soon(lambda: not traces.left()), traces.left()
    fleet.stop()


@pytest.mark.parametrize(
    ("hosts", "sentence"),
    [
        ([], "1 to 250 hosts"),
        ([HostSpec("a"), HostSpec("a")], "same name"),
        ([HostSpec("a b")], "letters and digits"),
        ([HostSpec("a", "buster")], "bullseye, bookworm, trixie"),
        ([HostSpec("a", storage="tape")], "disk or tmpfs"),
        ([HostSpec("a", rate="slow")], "tbf rate slow"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, hosts: list[HostSpec], sentence: str) -> None:
    with pytest.raises(WorldError, match=sentence):
        Fleet(tmp_path / "f", hosts).start()
    assert not (tmp_path / "f").exists()


def test_a_directory_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    with pytest.raises(WorldError, match="use another directory"):
        Fleet(tmp_path, PAIR).start()
    Fleet(tmp_path).stop()
    assert (tmp_path / "hosts").exists()


def test_a_host_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"bad cannot start: .*mount tmpfs on .*: Invalid argument"):
        Fleet(tmp_path / "f", [*PAIR, HostSpec("bad", volumes={"/opt": "size=much"})]).start()
    assert not (tmp_path / "f").exists()
