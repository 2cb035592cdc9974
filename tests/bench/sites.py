# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site: fresh hosts and a controller that has cached nothing, and what is run there, timed."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from world import posix
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
_STICK = "/media/stick"
#: Seconds that sshd gets to end the sessions of a run.
_PATIENCE = 10
#: Seconds for tar alone to one host, on a thin link of a busy machine.
_SENDING = 300
#: A host's own: init and sshd.
_RESIDENTS = 2


@dataclasses.dataclass(frozen=True)
class Scene:
    """How large a site is."""

    hosts: int
    storage: str
    #: Of each host's memory, to write to.
    size: str = "2g"
    #: Hosts at once, whoever does it; 0: all.
    forks: int = 0
    #: What each host's cable lets through.
    rate: str = ""


@dataclasses.dataclass(frozen=True)
class Timed:
    """What a run took."""

    #: Wall time.
    seconds: float
    #: CPU time on all hosts together.
    host_cpu: float
    #: CPU time of all that ran on the controller, connections included.
    controller_cpu: float
    #: Bytes that all hosts received, headers included.
    received: int
    changed: int

    @property
    def cpu(self) -> float:
        """CPU time of all, which other users of the machine change less than they change wall time."""
        return self.host_cpu + self.controller_cpu


class Site:
    """A fleet for as long as the block runs. Every run opens its own connections, as one of another day would."""

    def __init__(self, directory: Path, scene: Scene) -> None:
        self._home = directory / "controller"
        self._layout = Layout(directory / "fleet")
        plain = host_specs(scene.hosts, RELEASES, scene.storage, controller=False)
        specs = [dataclasses.replace(spec, size=scene.size, rate=scene.rate, rsync=True) for spec in plain]
        self._fleet = Fleet(self._layout.directory, specs)
        self._forks = scene.forks or scene.hosts
        self._common = ["-i", str(self._layout.inventory), "--forks", str(self._forks)]

    def __enter__(self) -> Site:
        self._fleet.__enter__()
        self._home.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fleet.__exit__(kind, error, trace)

    def ping(self, **variables: str) -> Timed:
        """The least that Ansible can do."""
        return self._run("ansible", "all", "-m", "ansible.builtin.ping", "-e", json.dumps(variables))

    def ours(self, bundle: Path, *, bytecode: bool, **more: str) -> Timed:
        """Roll *bundle* out with the collection, with more variables of the role."""
        wanted = {"env_deploy_bundle": str(bundle), "env_deploy_bytecode": bytecode, **more}
        return self._play("airgap.conda.rollout", wanted)

    def near(self, bundle: Path) -> Timed:
        """Roll *bundle* out to hosts that have it on a stick; from a web server of the site, ours sends no more."""
        for host in self._fleet.hosts:
            host.push(bundle, f"{_STICK}/{bundle.name}")
        return self.ours(bundle, bytecode=False, env_deploy_source="path", env_deploy_source_path=_STICK)

    def back(self, name: str, to: str) -> Timed:
        """Go to another generation of an environment; WorldError where one is live already."""
        timed = self._play("airgap.conda.rollback", {"env_rollback_name": name, "env_rollback_to": to})
        if timed.changed != len(self._fleet.hosts):
            raise WorldError(f"a rollback changed {timed.changed} hosts of {len(self._fleet.hosts)}")
        return timed

    def drift(self, bundle: Path) -> Timed:
        """Look whether the hosts still are what *bundle* made of them."""
        return self._play("airgap.conda.drift", {"env_deploy_bundle": str(bundle)})

    def on_host(self, script: Path, shipped: Path, name: str, pairs: int) -> str:
        """Run *script* on a host, where it finds what modules ship; return what it prints."""
        host, top = self._fleet.hosts[-1], "/tmp/bench"
        host.push(shipped, f"{top}/ansible_collections/airgap/conda/plugins/module_utils")
        host.push(script, f"{top}/{script.name}")
        command = f"PYTHONPATH={top} python3 -B {top}/{script.name} {Path(PREFIX).parent} {name} {pairs}"
        return host.run(command, timeout=600).stdout

    def naive(self, archive: Path) -> Timed:
        """Roll *archive* out without the collection."""
        return self._play(str(_NAIVE), {"archive": str(archive)})

    def answer(self, command: str) -> str:
        """What *command* says on a host."""
        return self._fleet.hosts[-1].run(command).stdout

    def bare(self, archive: Path) -> Timed:
        """What the transport and tar alone take: C(ssh host tar -x) of *archive*."""
        words = ssh_options(self._layout.known_hosts, self._fleet.state.machine)
        words += ["-i", str(self._layout.key), "-o", "BatchMode=yes", "-o", "Compression=no"]
        unpack = f"mkdir -p {PREFIX} && tar -C {PREFIX} -xz"
        commands = [["ssh", *words, f"root@{host.address}", unpack] for host in self._fleet.hosts]

        def send(command: list[str]) -> None:
            with archive.open("rb") as file:
                subprocess.run(command, stdin=file, capture_output=True, timeout=_SENDING, check=True)

        def send_all() -> int:
            with ThreadPoolExecutor(self._forks) as pool:
                return len(list(pool.map(send, commands)))

        return self._timed(send_all)

    def rsync(self, tree: Path) -> Timed:
        """Make the environment like *tree* with rsync, driven from Ansible."""
        return self._play(str(_RSYNC), {"tree": str(tree)}, ANSIBLE_COLLECTIONS_PATH=str(posix.ensure()))

    def tree(self, into: Path) -> Path:
        """A copy of what is live on the first host, relocated as it is."""
        host = self._fleet.hosts[0]
        run_program(["cp", "-a", f"{host.root}{PREFIX}", into], timeout=120)
        return into

    def wipe(self) -> None:
        """Hosts and controller as they were."""
        for host in self._fleet.hosts:
            host.run(f"rm -rf /opt/* {_STICK} /root/.ansible")
        shutil.rmtree(self._home)
        self._home.mkdir()

    def placeholders(self, *texts: str) -> int:
        """How many files of the environment on a host hold a package's placeholder or one of *texts*.

        C(conda-unpack) and conda's records list them and are not counted.
        """
        pattern = "|".join(["_placehold(er)?_placehold", *map(re.escape, texts)])
        command = f"grep -rlaE '{pattern}' {PREFIX} --exclude=conda-unpack --exclude-dir=conda-meta | wc -l"
        return int(self.answer(command))

    def _play(self, playbook: str, variables: Mapping[str, object], **environment: str) -> Timed:
        return self._run("ansible-playbook", playbook, "-e", json.dumps(variables), **environment)

    def _run(self, program: str, *words: str, **environment: str) -> Timed:
        def work() -> int:
            command = [str(BIN / program), *words, *self._common]
            done = run(command, cwd=self._home, home=self._home, environment=environment)
            self._check(program, done)
            return done.changed

        return self._timed(work)

    def _timed(self, work: Callable[[], int]) -> Timed:
        """Do *work*, which says how many hosts it changed."""
        own = set(processes.children(os.getpid()))
        host_cpu, controller_cpu, received = self._host_cpu(), processes.cpu_of_children(), self._received()
        began = time.monotonic()
        changed = work()
        seconds = time.monotonic() - began
        self._hang_up()
        processes.wait_for(set(processes.children(os.getpid())) - own)
        controller_cpu = processes.cpu_of_children() - controller_cpu
        return Timed(seconds, self._host_cpu() - host_cpu, controller_cpu, self._received() - received, changed)

    def _check(self, program: str, done: Play) -> None:
        if done.rc:
            words = "\n".join(done.output.strip().splitlines()[-20:])
            raise WorldError(f"{program} failed with {done.rc}:\n{words}")

    def _received(self) -> int:
        return sum(host.interface_bytes()[0] for host in self._fleet.hosts)

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
def fresh_site(scene: Scene) -> Iterator[Site]:
    """A site of which nothing is left."""
    processes.adopt()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Site(Path(directory), scene) as site:
        yield site


def unchanged(second: Timed) -> Timed:
    """*second*, a run that had nothing to do."""
    if second.changed:
        raise WorldError(f"a second run changed {second.changed} hosts")
    return second
