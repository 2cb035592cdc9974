# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guide "inventories" shows is rolled out as it stands."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import bundles
from world.ansible import Play, play
from world.fleet import Fleet, Host
from world.pages import block, commands

GUIDE = "guide_inventories"
ARM = "linux-aarch64"
ROLLOUT = "airgap.conda.rollout"
#: Which takes most of the time, and is told elsewhere.
WITHOUT_BYTECODE = ("-e", '{"env_deploy_bytecode": false}')


class Site:
    """A person with C(dist) and what the guide says, before a fleet."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.fleet = fleet
        self.directory = directory
        (directory / "dist").mkdir()

    def put(self, name: str, bundle: Path) -> None:
        (self.directory / "dist" / name).symlink_to(bundle)

    def write(self, name: str, mark: str) -> None:
        """Write the block of the guide into that file."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(block(GUIDE, mark))

    def type(self, *words: str, on: str = "all") -> Play:
        """Run a playbook with the inventory of the fleet, which says how its hosts are reached."""
        inventory = ("-i", self.fleet.inventory, "-l", on)
        return play(*words, *inventory, *WITHOUT_BYTECODE, cwd=self.directory, home=self.directory)


@pytest.fixture
def site(fleet: Fleet, tmp_path: Path) -> Iterator[Site]:
    yield Site(fleet, tmp_path)
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda /srv/envs /etc/conda /usr/local/bin/*")


def test_one_environment_for_all(site: Site, example: Path) -> None:
    site.put("my_env-linux-64", example)
    site.write("inventory.yml", "inventory: one for all")
    looking, acting = commands(GUIDE, "commands: one for all")
    assert "--check" in looking and "--check" not in acting
    for command in (looking, acting):
        program, *words = shlex.split(command)
        assert program == "ansible-playbook"
        done = site.type(*words, on="host1,host2")
        assert done.rc == 0 and done.changed == 2, done.output
    for host in site.fleet.hosts[:2]:
        host.run("/opt/conda/envs/my_env/bin/python -c 'import pandas'")


def test_several_environments_on_one_host(site: Site, example: Path, tools: Path) -> None:
    site.put("science-linux-64", example)
    site.put("tools-linux-64", tools)
    site.write("inventory.yml", "inventory: several")
    done = site.type("-i", "inventory.yml", ROLLOUT, on="host1")
    assert done.rc == 0 and done.changed == 1, done.output
    host = site.fleet.host("host1")
    host.run("/srv/envs/my_env/bin/python -c 'import pandas'")
    host.run("/usr/local/bin/python3.11 -c 'import six'")


def test_a_bundle_for_each_platform(site: Site, tools: Path) -> None:
    site.put("my_env-linux-64", tools)
    shutil.copytree(tools, site.directory / f"dist/my_env-{ARM}")
    bundles.edit(site.directory / f"dist/my_env-{ARM}", lambda manifest: manifest["needs"].update(platform=ARM))
    site.write("variables.yml", "variables: platforms")
    done = site.type(ROLLOUT, "-e", "@variables.yml", on="host1")
    assert done.rc == 0 and done.changed == 1, done.output
    site.fleet.host("host1").run("/opt/conda/envs/tools/bin/python -c 'import six'")


def test_a_few_hosts_first(site: Site, tools: Path) -> None:
    site.put("tools", tools)
    site.write("rollout.yml", "play: canary")
    done = site.type("rollout.yml", "-e", "env_deploy_bundle=dist/tools")
    assert done.rc == 0 and done.changed == 3, done.output
    assert done.output.count("PLAY [Roll out, a few hosts first]") == 3


@pytest.fixture
def scientist(fleet: Fleet) -> Iterator[Host]:
    """A host on which somebody of that name can log in, and may nothing else."""
    host = fleet.host("host3")
    host.run("useradd --create-home --shell /bin/bash --password '*' scientist && cp -r ~root/.ssh ~scientist/")
    host.run("chown -R scientist: ~scientist/.ssh")
    yield host
    # Its connection stays open for a minute.
    host.run("userdel --force --remove scientist")


def test_users_without_root(site: Site, scientist: Host, tools: Path) -> None:
    site.put("tools", tools)
    site.write("variables.yml", "variables: without root")
    words = ("-e", "@variables.yml", "-e", "env_deploy_bundle=dist/tools", "-e", "ansible_user=scientist")
    done = site.type(ROLLOUT, *words, on=scientist.name)
    assert done.rc == 0 and done.changed == 1, done.output
    scientist.run("su scientist -c '/home/scientist/envs/tools/bin/python -c \"import six\"'")
    assert "/home/scientist/envs/tools" in scientist.run("cat /home/scientist/.conda/environments.txt").stdout
    assert site.type(ROLLOUT, *words, on=scientist.name).changed == 0
