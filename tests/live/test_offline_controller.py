# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller without a route, which has a stick and nothing else: its guide, typed as it stands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import ansible
from world.controller import broken_promises
from world.fleet import Fleet, Host, HostSpec
from world.stick import PLACE, documented, make, plug

PREFIX = "/opt/conda/envs/my_env"
#: Each way in which a host can come to know an environment.
REGISTRATION = {
    "env_deploy_register_users": ["plain"],
    "env_deploy_register_profile": True,
    "env_deploy_register_commands": ["python3.11"],
    "env_deploy_register_frozen": True,
}
#: What changes without a rollout: the system's own, and what Ansible and these tests leave.
OTHERS = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/root/.ansible")
LISTING = "find / -xdev " + "".join(f"-path {path} -prune -o " for path in OTHERS) + "-print | sort"


@pytest.fixture(scope="module")
def stick(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What crosses the gap, as the page says to put it there."""
    return make(example, tmp_path_factory.mktemp("builder"))


@pytest.fixture(scope="module")
def site(stick: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Behind the gap: three hosts, and a controller with the stick, read-only."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    releases = enumerate(("bullseye", "bookworm", "trixie"), 1)
    hosts = [HostSpec(f"host{number}", release, storage="tmpfs") for number, release in releases]
    control = HostSpec("controller", controller=True, storage="tmpfs")
    with Fleet(tmp_path_factory.mktemp("site"), [*hosts, control]) as started:
        plug(stick, started.host("controller"))
        yield started


def on_controller(machine: Host, block: str, number: int | None = None) -> ansible.Play:
    """Type a block, or one command of it, where the inventory is; the result is the last command's."""
    every = documented(block)
    chosen = every if number is None else [every[0], every[number]]
    done = machine.ssh("cd ~/fleet; set -e\n" + "\n".join(chosen), check=False, timeout=600)
    return ansible.Play(done.returncode, done.stdout + done.stderr)


def test_a_life_of_an_environment_behind_the_gap(site: Fleet, stick: Path) -> None:
    machine = site.host("controller")
    for host in (machine, *site.hosts):
        outside = host.run("bash -c ': </dev/tcp/203.0.113.1/80'", check=False)
        assert "Network is unreachable" in outside.stderr
    assert sorted(machine.run(f"ls {PLACE}").stdout.split()) == sorted(path.name for path in stick.iterdir())
    once = on_controller(machine, "controller: once")
    assert once.rc == 0, once.output
    registration = "".join(f"{name}: {json.dumps(value)}\n" for name, value in REGISTRATION.items())
    machine.run(f"mkdir fleet/group_vars; cat >fleet/group_vars/fleet.yml <<'EOF'\n{registration}EOF")
    before = {host.name: host.run(LISTING).stdout.splitlines() for host in site.hosts}

    for number, changed in ((1, 1), (2, 1), (3, 0), (1, 0)):
        done = on_controller(machine, "controller: rollout", number)
        assert done.rc == 0 and _changed(done) == [changed] * 3, done.output
        is_there = number > 1 or not changed
        for host in site.hosts:
            assert (host.run(f"test -e {PREFIX}", check=False).returncode == 0) == is_there
    for host in site.hosts:
        shown = host.run("python3.11 -c 'import pandas, sys; print(pandas.__version__, sys.prefix)'", user="plain")
        assert shown.stdout.split() == ["1.5.3", PREFIX]
        assert broken_promises(host, PREFIX) == {}

    for number, changed in ((1, 1), (2, 1), (1, 0)):
        done = on_controller(machine, "controller: remove", number)
        assert done.rc == 0 and _changed(done) == [changed] * 3, done.output
    for host in site.hosts:
        after = host.run(LISTING).stdout.splitlines()
        assert set(before[host.name]) <= set(after)
        left = set(after) - set(before[host.name])
        assert left == {"/opt/conda", "/opt/conda/envs", "/home/plain/.conda", "/home/plain/.conda/environments.txt"}
        assert host.run("cat /home/plain/.conda/environments.txt").stdout == ""


def _changed(play: ansible.Play) -> list[int]:
    assert set(play.recap) == {"host1", "host2", "host3"}
    return [counts["changed"] for counts in play.recap.values()]


def test_a_controller_without_pip_takes_it_from_the_stick(site: Fleet, stick: Path) -> None:
    bare = site.host("host2")
    assert bare.run("command -v pip pip3", check=False).stdout == ""
    bare.push(stick / "wheels", f"{PLACE}/wheels")
    bare.push(next(stick.glob("*.tar.gz")), f"{PLACE}/{next(stick.glob('*.tar.gz')).name}")
    bare.run("mkdir fleet")
    try:
        made = on_controller(bare, "controller: without venv")
        assert made.rc == 0, made.output
        listed = bare.ssh(f"{documented('controller: once')[-1]} && ~/ansible/bin/ansible-doc -l airgap.conda").stdout
        assert "airgap.conda.env_deploy" in listed
    finally:
        bare.run(f"rm -rf fleet ansible .ansible {PLACE}")
