# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout as the README shows it, on hosts of three Debian releases: first, second, damaged, upgraded, removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.controller import Controller, broken_promises
from world.fleet import Fleet

PREFIX = "/opt/conda/envs/my_env"
PYTHON = f"{PREFIX}/bin/python"


@pytest.fixture(autouse=True)
def _clean(fleet: Fleet) -> Iterator[None]:
    """Each test begins on hosts without environments."""
    yield
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda /srv/envs /etc/conda")


def test_a_first_rollout_gives_a_working_environment_and_a_second_changes_nothing(
    fleet: Fleet, controller: Controller, example: Path
) -> None:
    compiled = fleet.host("host2")
    bytecode = json.dumps({"env_deploy_bytecode": f"{{{{ inventory_hostname == '{compiled.name}' }}}}"})
    first = controller.rollout(example, "-e", bytecode)
    assert first.rc == 0 and first.changed == 3, first.output
    for host in fleet.hosts:
        code = "import pandas, requests; print(pandas.__version__, requests.__version__)"
        shown = host.run(f"cd /; {PYTHON} -c '{code}'", user="plain")
        assert shown.stdout.split() == ["1.5.3", "2.31.0"]
        assert broken_promises(host, PREFIX) == {}
    # A start there compiles nothing anew.
    compiled.run(f"touch /tmp/before; {PYTHON} -c 'import pandas'")
    assert compiled.run(f"find {PREFIX} -newer /tmp/before").stdout == ""
    second = controller.rollout(example, "-e", bytecode)
    assert second.rc == 0 and second.changed == 0, second.output


def test_check_mode_of_a_first_rollout_says_what_it_would_do_and_does_nothing(
    fleet: Fleet, controller: Controller, example: Path
) -> None:
    checked = controller.rollout(example, "--check", "--diff")
    assert checked.rc == 0 and checked.changed == 3, checked.output
    assert "+pandas 1.5.3" in checked.output
    for host in fleet.hosts:
        assert host.run("ls -d /opt/conda", check=False).returncode != 0


def test_a_damaged_environment_is_noticed_and_put_right(fleet: Fleet, controller: Controller, tools: Path) -> None:
    controller.rollout(tools)
    prefix = "/opt/conda/envs/tools"
    first, second, third = fleet.hosts
    first.run(f"rm {prefix}/lib/python3.11/site-packages/six.py")
    second.run(f"echo oops >> {prefix}/bin/pip")
    third.run(f"chmod 0777 {prefix}/bin/python3.11")
    checked = controller.rollout(tools, "--check", "--diff")
    assert checked.changed == 3 and "site-packages/six.py (missing)" in checked.output, checked.output
    assert first.run(f"{prefix}/bin/python -c 'import six'", check=False).returncode != 0
    repaired = controller.rollout(tools)
    assert repaired.rc == 0 and repaired.changed == 3, repaired.output
    for host in fleet.hosts:
        assert broken_promises(host, prefix) == {}
        assert host.run(f"stat -c %a {prefix}/bin/python3.11").stdout.strip() == "755"
        # Without bytecode, root's imports write it into the prefix: no damage.
        host.run(f"{prefix}/bin/python -c 'import six, json, email'")
    assert controller.rollout(tools).changed == 0


def test_an_upgrade_shows_packages_and_leaves_nothing_of_the_old(
    fleet: Fleet, controller: Controller, earlier: Path, example: Path
) -> None:
    host = fleet.host("host3")
    assert controller.rollout(earlier, "-l", host.name).changed == 1
    upgraded = controller.rollout(example, "-l", host.name, "--diff")
    assert upgraded.rc == 0 and upgraded.changed == 1, upgraded.output
    assert "-pandas 1.5.2" in upgraded.output and "+attrs 23.1.0 (pip)" in upgraded.output
    assert "numpy 1.23.4" not in upgraded.output
    listed = host.run(f"ls {PREFIX}/lib/python3.11/site-packages").stdout
    assert "pandas-1.5.3.dist-info" in listed and "pandas-1.5.2.dist-info" not in listed
    assert broken_promises(host, PREFIX) == {}


def test_remove_takes_away_what_was_deployed_and_nothing_else(
    fleet: Fleet, controller: Controller, small: Path
) -> None:
    # By default Python is tried, which it has not.
    controller.rollout(small, "-e", json.dumps({"env_deploy_health": {"commands": ["true"]}}))
    for host in fleet.hosts:
        host.run("mkdir -p /opt/conda/envs/theirs/conda-meta && touch /opt/conda/envs/theirs/conda-meta/history")
        host.run("echo mine > /opt/conda/envs/small/notes.txt")
    foreign = controller.run("remove", "-e", "env_deploy_name=theirs")
    assert foreign.rc != 0 and "has no receipt" in foreign.output, foreign.output
    refused = controller.run("remove", "-e", "env_deploy_name=small")
    assert refused.rc != 0 and "notes.txt" in refused.output, refused.output
    for host in fleet.hosts:
        assert host.run("cat /opt/conda/envs/small/notes.txt; rm /opt/conda/envs/small/notes.txt").stdout == "mine\n"
    checked = controller.run("remove", "-e", "env_deploy_name=small", "--check")
    assert checked.rc == 0 and checked.changed == 3, checked.output
    removed = controller.run("remove", "-e", "env_deploy_name=small")
    assert removed.rc == 0 and removed.changed == 3, removed.output
    for host in fleet.hosts:
        assert host.run("ls -A /opt/conda/envs").stdout.split() == ["theirs"]
    again = controller.run("remove", "-e", "env_deploy_name=small")
    assert again.rc == 0 and again.changed == 0, again.output
