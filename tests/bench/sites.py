# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site: fresh hosts and a controller that has cached nothing, and what is run there, timed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from world.ansible import BIN, Play, run
from world.fleet import Fleet
from world.fleet import specs as host_specs
from world.fleet_files import Layout, ssh_options
from world.fleet_host import RELEASES
from world.process import WorldError
from world.process import run as run_program

from bench import processes

PREFIX = "/opt/conda/envs/my_env"

_NAIVE = Path(__file__).with_name("naive.yml")
_RSYNC = Path(__file__).with_name("rsync.yml")
#: Seconds that sshd gets to end the sessions of a run.
_PATIENCE = 10
#: A host's own: init and sshd.
_RESIDENTS = 2


@dataclasses.dataclass(frozen=True)
class Timed:
    """What a run took."""

    #: Wall time.
    seconds: float
    #: CPU time on all hosts together.
    host_cpu: float
    #: CPU time of Ansible, the connections it leaves open aside.
    controller_cpu: float
    changed: int

    @property
    def cpu(self) -> float:
        """CPU time of all, which other users of the machine change less than they change wall time."""
        return self.host_cpu + self.controller_cpu


class Site:
    """A fleet for as long as the block runs. Every run opens its own connections, as one of another day would."""

    def __init__(self, directory: Path, hosts: int, storage: str, size: str) -> None:
        self._home = directory / "controller"
        self._layout = Layout(directory / "fleet")
        specs = host_specs(hosts, RELEASES, storage, controller=False)
        self._fleet = Fleet(
            self._layout.directory, [dataclasses.replace(spec, size=size, rsync=True) for spec in specs]
        )
        self._common = ["-i", str(self._layout.inventory), "--forks", str(hosts)]

    def __enter__(self) -> Site:
        self._fleet.__enter__()
        self._home.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fleet.__exit__(kind, error, trace)

    def ping(self) -> Timed:
        """The least that Ansible can do."""
        return self._run("ansible", "all", "-m", "ansible.builtin.ping")

    def ours(self, bundle: Path, *, bytecode: bool) -> Timed:
        """Roll *bundle* out with the collection."""
        variables = {"env_deploy_bundle": str(bundle), "env_deploy_bytecode": bytecode}
        return self._run("ansible-playbook", "airgap.conda.rollout", "-e", json.dumps(variables))

    def back(self, name: str, to: str) -> Timed:
        """Go to another generation of an environment; WorldError where one is live already."""
        variables = {"env_rollback_name": name, "env_rollback_to": to}
        timed = self._run("ansible-playbook", "airgap.conda.rollback", "-e", json.dumps(variables))
        if timed.changed != len(self._fleet.hosts):
            raise WorldError(f"a rollback changed {timed.changed} hosts of {len(self._fleet.hosts)}")
        return timed

    def drift(self, bundle: Path) -> Timed:
        """Look whether the hosts still are what *bundle* made of them."""
        variables = {"env_deploy_bundle": str(bundle)}
        return self._run("ansible-playbook", "airgap.conda.drift", "-e", json.dumps(variables))

    def on_host(self, script: Path, shipped: Path, name: str, pairs: int) -> str:
        """Run *script* on a host, where it finds what modules ship; return what it prints."""
        host, top = self._fleet.hosts[-1], "/tmp/bench"
        host.push(shipped, f"{top}/ansible_collections/airgap/conda/plugins/module_utils")
        host.push(script, f"{top}/{script.name}")
        command = f"PYTHONPATH={top} python3 -B {top}/{script.name} {Path(PREFIX).parent} {name} {pairs}"
        return host.run(command, timeout=600).stdout

    def naive(self, archive: Path) -> Timed:
        """Roll *archive* out without the collection."""
        return self._run("ansible-playbook", str(_NAIVE), "-e", json.dumps({"archive": str(archive)}))

    def answer(self, command: str) -> str:
        """What *command* says on a host."""
        return self._fleet.hosts[-1].run(command).stdout

    def bare(self, archive: Path) -> Timed:
        """What the transport and tar alone take: C(ssh host tar -x) of *archive* to all hosts at once."""
        return self._each("mkdir -p /srv/bare && tar -C /srv/bare -xz", archive)

    def rsync(self, tree: Path) -> Timed:
        """Make /srv/rsync on all hosts like *tree*, with rsync as Ansible runs it."""
        addresses = {host.name: host.address for host in self._fleet.hosts}
        variables = {"tree": str(tree), "addresses": addresses, "through": shlex.join(["ssh", *self._options()])}
        return self._run("ansible-playbook", str(_RSYNC), "-e", json.dumps(variables))

    def tree(self, into: Path) -> Path:
        """A copy of what is live on the first host, relocated as it is."""
        host = self._fleet.hosts[0]
        run_program(["cp", "-a", f"{host.root}{PREFIX}", into], timeout=120)
        return into

    def received(self) -> int:
        """Bytes that all hosts have received so far, headers included."""
        return sum(host.interface_bytes()[0] for host in self._fleet.hosts)

    def _options(self) -> list[str]:
        options = ssh_options(self._layout.known_hosts, self._fleet.state.machine)
        return [*options, "-i", str(self._layout.key), "-o", "BatchMode=yes", "-o", "Compression=no"]

    def _each(self, command: str, stdin: Path) -> Timed:
        words = [["ssh", *self._options(), f"root@{host.address}", command] for host in self._fleet.hosts]
        return self._at_once(words, stdin)

    def _at_once(self, commands: list[list[str]], stdin: Path = Path("/dev/null")) -> Timed:
        """Run *commands* side by side, each with that file to read."""
        host_cpu, controller_cpu = self._host_cpu(), processes.cpu_of_children()
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            running = [
                subprocess.Popen(words, stdin=stack.enter_context(stdin.open("rb")), stdout=subprocess.DEVNULL)
                for words in commands
            ]
            codes = [process.wait() for process in running]
        seconds = time.monotonic() - began
        if any(codes):
            raise WorldError(f"{commands[0][0]} failed: {codes}")
        controller_cpu = processes.cpu_of_children() - controller_cpu
        return Timed(seconds, self._host_cpu() - host_cpu, controller_cpu, 0)

    def placeholders(self, *texts: str) -> int:
        """How many files of the environment on a host hold a package's placeholder or one of *texts*.

        C(conda-unpack) and conda's records list them and are not counted.
        """
        pattern = "|".join(["_placehold(er)?_placehold", *map(re.escape, texts)])
        command = f"grep -rlaE '{pattern}' {PREFIX} --exclude=conda-unpack --exclude-dir=conda-meta | wc -l"
        return int(self.answer(command))

    def _run(self, program: str, *words: str) -> Timed:
        host_cpu, controller_cpu = self._host_cpu(), processes.cpu_of_children()
        began = time.monotonic()
        done = run([str(BIN / program), *words, *self._common], cwd=self._home, home=self._home)
        seconds = time.monotonic() - began
        controller_cpu = processes.cpu_of_children() - controller_cpu
        self._check(program, done)
        self._hang_up()
        return Timed(seconds, self._host_cpu() - host_cpu, controller_cpu, done.changed)

    def _check(self, program: str, done: Play) -> None:
        if done.rc:
            words = "\n".join(done.output.strip().splitlines()[-20:])
            raise WorldError(f"{program} failed with {done.rc}:\n{words}")

    def _host_cpu(self) -> float:
        return sum(processes.cpu_seconds(host.pid) for host in self._fleet.hosts)

    def _hang_up(self) -> None:
        """Close the connections that Ansible keeps, and return when the hosts have nothing more to do."""
        for socket in self._layout.control.glob("*"):
            command = ["ssh", "-F", "/dev/null", "-o", f"ControlPath={socket}", "-O", "exit", "fleet"]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
        deadline = time.monotonic() + _PATIENCE
        while any(len(processes.tree(host.pid)) > _RESIDENTS for host in self._fleet.hosts):
            if time.monotonic() > deadline:
                raise WorldError(f"hosts are still busy {_PATIENCE} s after a run")
            time.sleep(0.05)


@contextmanager
def fresh_site(hosts: int, storage: str, size: str = "2g") -> Iterator[Site]:
    """A site of which nothing is left; *size*: of each host's memory to write to."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Site(Path(directory), hosts, storage, size) as site:
        yield site


def unchanged(second: Timed) -> Timed:
    """*second*, a run that had nothing to do."""
    if second.changed:
        raise WorldError(f"a second run changed {second.changed} hosts")
    return second
