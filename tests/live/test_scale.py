# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts at once, however Ansible goes about it; and what people at a terminal are told meanwhile."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from world.ansible import BIN, play
from world.controller import Controller
from world.fleet import Fleet

LINE = re.compile(
    r"  \d of 3 hosts done, \d sending, \d failed; \d+ MB sent, \d+\.\d MB/s(; about \d+(\.\d)? (s|min|h) left)?"
)


@pytest.fixture(autouse=True)
def _clean(fleet: Fleet) -> Iterator[None]:
    yield
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda /srv")


def test_whatever_the_strategy(fleet: Fleet, controller: Controller, tools: Path) -> None:
    ways: dict[str, dict[str, Any]] = {
        "serial": {"serial": 2},
        "free": {"strategy": "ansible.builtin.free"},
        "throttle": {"throttle": 1},
        "mixed": {"strategy": "ansible.builtin.free", "serial": 2, "throttle": 1},
    }
    plays = []
    for name, way in ways.items():
        environment = {"bundle": str(tools), "envs_dir": f"/srv/{name}", "bytecode": False}
        task = {"name": name, "airgap.conda.env_deploy": {"environments": [environment]}}
        plays.append({"name": name, "hosts": "fleet", "gather_facts": False, **way, "tasks": [task]})
    (controller.directory / "ways.yml").write_text(yaml.safe_dump(plays, sort_keys=False))
    arguments = ("-i", str(fleet.inventory), "--forks", "2")
    done = play("ways.yml", *arguments, cwd=controller.directory, home=controller.directory)
    assert done.rc == 0 and done.changed == 3 * len(ways), done.output
    for host in fleet.hosts:
        for name in ways:
            host.run(f"/srv/{name}/tools/bin/python -c 'import six'")
    # Verified once, by one fork for all: one note for each piece.
    assert len(list(controller.directory.glob(".cache/airgap-conda/verified-*"))) == 2
    again = play("ways.yml", *arguments, cwd=controller.directory, home=controller.directory)
    assert again.rc == 0 and again.changed == 0, again.output


def test_a_terminal_is_told_of_the_fleet(fleet: Fleet, controller: Controller, tools: Path) -> None:
    variables = {"env_deploy_bundle": str(tools), "env_deploy_bytecode": False, "env_deploy_part_size": 2}
    words = ["airgap.conda.rollout", "-i", str(fleet.inventory), "-v", "-e", json.dumps(variables)]
    main, fork = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment = {**kept, "ANSIBLE_NOCOLOR": "1", "HOME": str(controller.directory), "COLUMNS": "200"}
    with subprocess.Popen([BIN / "ansible-playbook", *words], stdout=fork, stderr=fork, env=environment) as process:
        os.close(fork)
        shown = b""
        try:
            while chunk := os.read(main, 1 << 16):
                shown += chunk
        except OSError:
            # Linux says so at the end of a terminal.
            pass
    os.close(main)
    assert process.returncode == 0, shown.decode()
    said = [text.rstrip("\r") for text in shown.decode().split("\n") if "hosts done" in text]
    assert said and all(LINE.fullmatch(text) for text in said), shown.decode()


def test_who_has_no_terminal_is_not_told(fleet: Fleet, controller: Controller, tools: Path) -> None:
    done = controller.rollout(tools, "-l", "host1", "-e", "env_deploy_part_size=1")
    assert done.rc == 0 and done.changed == 1, done.output
    assert "hosts done" not in done.output
