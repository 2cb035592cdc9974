# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who knows an environment, as whom it is deployed, and several of them on one host."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec

PREFIX = "/srv/envs/tools"
#: Everything that registration could leave on a host.
FILES = "find /etc /usr/local /home ! -type d | sort"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), [HostSpec("host", "trixie", storage="tmpfs")]) as started:
        yield started


@pytest.fixture
def host(fleet: Fleet) -> Iterator[Host]:
    yield fleet.host("host")
    system = "/opt/conda /srv/* /etc/conda /etc/profile.d/airgap-* /usr/local/bin/* /usr/local/share/jupyter"
    fleet.host("host").run(f"rm -rf {system} /home/*/.conda /home/*/envs")


def variables(**values: object) -> tuple[str, str]:
    return "-e", json.dumps({f"env_deploy_{name}": value for name, value in values.items()})


REGISTERED = variables(
    envs_dir="/srv/envs",
    register_users=["plain"],
    register_profile=True,
    register_commands=["python3.11"],
    register_frozen=True,
)


def test_conda_shells_and_users_know_it_until_it_is_removed(host: Host, controller: Controller, tools: Path) -> None:
    before = host.run(FILES).stdout
    first = controller.rollout(tools, *REGISTERED)
    assert first.rc == 0 and first.changed == 1, first.output
    condarc = host.run("cat /etc/conda/condarc.d/*.yml").stdout.splitlines()
    # conda's own directory goes first, so that what conda creates lands there.
    assert condarc[1:] == ["envs_dirs:", '  - "/opt/conda/envs"', '  - "/srv/envs"']
    assert host.run("stat -c '%a %U' /etc/conda/condarc.d/*.yml").stdout.split() == ["644", "root"]
    assert host.run("cat .conda/environments.txt; stat -c %U .conda .conda/*", user="plain").stdout.split() == [
        PREFIX,
        "plain",
        "plain",
    ]
    assert host.run("/usr/local/bin/python3.11 -c 'import six, sys; print(sys.prefix)'").stdout.strip() == PREFIX
    login = host.run("bash -lc 'echo $CONDA_PREFIX; command -v python; echo $TOOLS_SAY'").stdout
    assert login.splitlines() == [PREFIX, f"{PREFIX}/bin/python", "it's $HOME"]
    refused = host.run(f"{PREFIX}/bin/pip install --no-index x", check=False)
    assert "externally-managed-environment" in refused.stderr
    assert "airgap.conda" in host.run(f"cat {PREFIX}/conda-meta/frozen").stdout
    assert controller.rollout(tools, *REGISTERED).changed == 0
    removed = controller.run("remove", "-e", "env_deploy_name=tools", *REGISTERED)
    assert removed.rc == 0 and removed.changed == 1, removed.output
    # An empty list of environments stays with its user, as conda leaves it.
    assert host.run("cat .conda/environments.txt; rm .conda/environments.txt", user="plain").stdout == ""
    assert host.run(FILES).stdout == before


def test_jupyter_starts_it_by_its_kernel(host: Host, controller: Controller, notebooks: Path, tools: Path) -> None:
    wanted = variables(register_kernel=True)
    refused = controller.rollout(tools, *wanted)
    assert refused.rc != 0 and "holds no ipykernel" in refused.output, refused.output
    assert host.run("ls -d /opt/conda", check=False).returncode != 0
    assert controller.rollout(notebooks, *wanted).changed == 1
    python = "/opt/conda/envs/notebooks/bin/python"
    code = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="airgap-notebooks", startup_timeout=60)
client.execute_interactive("import os, sys; print(sys.executable, os.environ[\\"NOTEBOOKS_SAY\\"])", timeout=60)
manager.shutdown_kernel(now=True)
"""
    assert host.run(f"{python} -c '{code}'").stdout.strip() == f"{python} costs $5"
    assert controller.rollout(notebooks, *wanted).changed == 0
    assert controller.rollout(notebooks).changed == 1
    assert host.run("ls /usr/local/share/jupyter/kernels").stdout == ""
    controller.run("remove", "-e", "env_deploy_name=notebooks")


def test_registration_that_was_lost_or_is_not_wanted_any_more_is_put_right(
    host: Host, controller: Controller, tools: Path
) -> None:
    controller.rollout(tools, *REGISTERED)
    host.run("rm /usr/local/bin/python3.11; echo x >> /etc/profile.d/airgap-tools.sh")
    repaired = controller.rollout(tools, *REGISTERED, "-v")
    assert repaired.changed == 1 and "link /usr/local/bin/python3.11" in repaired.output, repaired.output
    assert controller.rollout(tools, *REGISTERED).changed == 0
    assert controller.rollout(tools, *variables(envs_dir="/srv/envs")).changed == 1
    assert host.run("ls /usr/local/bin; ls /etc/profile.d | grep airgap", check=False).stdout == ""
    assert controller.rollout(tools, *variables(envs_dir="/srv/envs")).changed == 0


def test_the_drop_in_goes_with_the_last_environment(host: Host, controller: Controller, tools: Path) -> None:
    for name in ("one", "two"):
        assert controller.rollout(tools, *variables(envs_dir="/srv/envs", name=name)).rc == 0
    controller.run("remove", *variables(envs_dir="/srv/envs", name="one"))
    assert "/srv/envs" in host.run("cat /etc/conda/condarc.d/*.yml").stdout
    controller.run("remove", *variables(envs_dir="/srv/envs", name="two"))
    assert host.run("ls -A /etc/conda/condarc.d /srv/envs").stdout.split() == ["/etc/conda/condarc.d:", "/srv/envs:"]


def test_a_program_of_somebody_else_is_not_replaced(host: Host, controller: Controller, tools: Path) -> None:
    host.run("echo theirs > /usr/local/bin/pip")
    refused = controller.rollout(tools, *variables(register_commands=["pip"]))
    assert refused.rc != 0 and "/usr/local/bin/pip exists and is not ours" in refused.output, refused.output
    assert host.run("ls -d /opt/conda", check=False).returncode != 0


def test_a_plain_user_deploys_at_home(host: Host, controller: Controller, tools: Path) -> None:
    own = (*variables(envs_dir="/home/plain/envs", register_commands=["python3.11"]), "-e", "ansible_user=plain")
    host.run("echo 'umask 077' >> .profile; echo 'umask 077' >> .bashrc", user="plain")
    done = controller.rollout(tools, *own)
    assert done.rc == 0 and done.changed == 1, done.output
    assert host.run("stat -c '%a %U' envs/tools/bin/python3.11", user="plain").stdout.split() == ["755", "plain"]
    assert "/home/plain/envs" in host.run("cat .conda/condarc.d/*.yml", user="plain").stdout
    assert host.run(".local/bin/python3.11 -c 'import six; print(six.__name__)'", user="plain").stdout.strip() == "six"
    assert broken_promises(host, "/home/plain/envs/tools") == {}
    assert controller.rollout(tools, *own).changed == 0
    refused = controller.rollout(tools, *own, *variables(register_profile=True))
    assert refused.rc != 0 and "use become" in refused.output, refused.output
    removed = controller.run("remove", "-e", "env_deploy_name=tools", *own)
    assert removed.changed == 1, removed.output


def test_become_deploys_as_root_or_as_another_user(host: Host, controller: Controller, tools: Path) -> None:
    become = ("-e", "ansible_user=admin", "--become")
    owned = variables(owner="plain", envs_dir="/srv/envs")
    assert controller.rollout(tools, *become, *owned).changed == 1
    assert host.run(f"find {PREFIX} ! -user plain -o ! -group plain | head").stdout == ""
    assert controller.rollout(tools, *become, *owned).changed == 0
    assert broken_promises(host, PREFIX) == {}
    refused = controller.rollout(tools, "-e", "ansible_user=admin", *variables(envs_dir="/srv/other"))
    assert refused.rc != 0 and "may not write to /srv" in refused.output, refused.output


def test_several_environments_for_several_platforms_in_one_execution(
    host: Host, controller: Controller, tools: Path, example: Path, tmp_path: Path
) -> None:
    elsewhere = Path(shutil.copytree(tools, tmp_path / "elsewhere"))
    manifest = json.loads((elsewhere / "manifest.json").read_text())
    manifest["needs"]["platform"] = "linux-aarch64"
    (elsewhere / "manifest.json").write_text(json.dumps(manifest))
    environments = [
        {"bundle": {"linux-64": str(example), "linux-aarch64": str(elsewhere)}, "bytecode": False, "name": "science"},
        {"bundle": str(tools), "envs_dir": "/srv/envs", "register": {"commands": ["python3.11"]}},
    ]
    several = variables(environments=environments, register_profile=True)
    done = controller.run("rollout", *several)
    assert done.rc == 0 and done.changed == 1, done.output
    host.run("/opt/conda/envs/science/bin/python -c 'import pandas'")
    host.run("/usr/local/bin/python3.11 -c 'import six'")
    assert host.run("ls /etc/profile.d | grep -c airgap").stdout.strip() == "2"
    assert controller.run("rollout", *several).changed == 0
