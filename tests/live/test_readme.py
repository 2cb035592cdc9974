# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's tour, typed as it stands: the same files, the same commands, and what is shown is seen."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import yaml
from world import ansible, bundles
from world.ansible import Play
from world.fleet import Fleet
from world.pages import CHECKOUT, fenced, typed

README = CHECKOUT / "README.md"
PREFIX = "/opt/conda/envs/my_env"
#: The terminals of the tour.
BLOCKS = fenced(README, "console")


def block(words: str) -> str:
    """The terminal of the tour in which these words stand."""
    return next(text for text in BLOCKS if words in text)


class Newcomer:
    """Somebody in an empty directory who types what the README says, with the channel and the hosts of the tests."""

    def __init__(self, directory: Path, channel: str, fleet: Fleet) -> None:
        self._directory = directory
        self._channel = shlex.quote(json.dumps({"env_build_channels": [channel]}))
        self._fleet = fleet
        (directory / "inventory.yml").symlink_to(fleet.inventory)

    def type(self, command: str, *, fails: bool = False) -> Play:
        if "airgap.conda.build" in command:
            command += f" -e {self._channel}"
        if command.startswith("ssh host1 "):
            _ssh, _host, *words = shlex.split(command)
            return Play(0, self._fleet.host("host1").ssh(" ".join(words)).stdout)
        line = f'PATH="{ansible.BIN}:$PATH"; {command}'
        done = ansible.run(["/bin/sh", "-ec", line], cwd=self._directory, home=self._directory)
        assert (done.rc != 0) == fails, done.output
        return done


def shown(text: str) -> list[str]:
    """What a block shows of output, without what is cut and what differs from run to run."""
    lines = (line for line in text.splitlines() if not line.startswith(("$ ", "TASK", "    -e", "...")))
    # A fast machine packs before anybody looks.
    return [line.rstrip() for line in lines if not line.startswith("  localhost: packing ")]


def pattern(line: str) -> str:
    """A line of output with any content id."""
    return re.sub(r"[0-9a-f]{12}", "[0-9a-f]{12}", re.escape(line))


def assert_seen(text: str, output: str) -> None:
    for line in shown(text):
        for words in re.split(r"\s{2,}", line.strip()):
            assert re.search(pattern(words), output), f"{words!r} is not in {output}"


def test_its_environment_is_the_example_of_the_tests() -> None:
    spec = next(text for text in fenced(README, "yaml") if "dependencies" in text)
    assert spec == bundles.EXAMPLE


def test_every_command_of_the_tour(fleet: Fleet, channel: str, tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path, channel, fleet)
    (tmp_path / "environment.yml").write_text(next(text for text in fenced(README, "yaml") if "dependencies" in text))

    terminal = block("ls dist")
    build, listing = typed(terminal)
    first = newcomer.type(build)
    assert first.changed == 2, first.output
    assert_seen(terminal, first.output + newcomer.type(listing).output)
    assert newcomer.type(build).changed == 0

    check = block("--check --diff")
    checked = newcomer.type(typed(check)[0])
    assert checked.changed == 3, checked.output
    assert_seen(check, checked.output)

    rollout, ssh = typed(block("env_deploy_health"))
    assert newcomer.type(rollout).changed == 3
    assert newcomer.type(ssh).output.strip() == "1.5.3"
    assert newcomer.type(rollout).changed == 0
    for host in fleet.hosts:
        host.run(f"rm {PREFIX}/bin/pip")
    assert newcomer.type(rollout).changed == 3

    drift = block("airgap.conda.drift")
    fleet.host("host2").run(f"echo 'import os' > {PREFIX}/lib/python3.11/site-packages/extra.pth")
    assert_seen(drift, newcomer.type(typed(drift)[0]).output)
    assert (tmp_path / "reports/drift.html").is_file()
    fleet.host("host2").run(f"rm {PREFIX}/lib/python3.11/site-packages/extra.pth")

    upgrade = block("ModuleNotFoundError")
    edit, build, unhealthy, ssh = typed(upgrade)
    newcomer.type(edit)
    newcomer.type(build)
    failed = newcomer.type(unhealthy, fails=True)
    assert_seen(upgrade, failed.output + newcomer.type(ssh).output)
    rollout, rollback, ssh = typed(block("airgap.conda.rollback"))
    assert newcomer.type(rollout).changed == 3
    assert newcomer.type(rollback).changed == 3
    assert newcomer.type(ssh).output.strip() == "2.31.0"
    assert newcomer.type(rollback).changed == 0

    (remove,) = typed(block("airgap.conda.remove"))
    assert newcomer.type(remove).changed == 3
    assert all(host.run("ls -A /opt/conda/envs").stdout == "" for host in fleet.hosts)


def test_the_list_of_several_environments(fleet: Fleet, example: Path, tools: Path, tmp_path: Path) -> None:
    listed = next(text for text in fenced(README, "yaml") if "env_deploy_environments" in text)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/science-linux-64").symlink_to(example)
    (tmp_path / "dist/tools-linux-64").symlink_to(tools)
    bundles.for_platform("linux-aarch64", tools, tmp_path / "dist/science-linux-aarch64")
    (tmp_path / "variables.yml").write_text(listed + "env_deploy_bytecode: false\n")
    arguments = ("-i", str(fleet.inventory), "-l", "host3", "-e", "@variables.yml")
    done = ansible.play("airgap.conda.rollout", *arguments, cwd=tmp_path, home=tmp_path)
    assert done.rc == 0 and done.changed == 1, done.output
    assert len(yaml.safe_load(listed)["env_deploy_environments"]) == 2
    fleet.host("host3").run(
        "/srv/envs/my_env/bin/python -c 'import pandas' && /usr/local/bin/python3.11 -c 'import six'"
    )
    fleet.host("host3").run("rm -rf /srv/envs /usr/local/bin/python3.11")
