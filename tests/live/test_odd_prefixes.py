# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prefixes that are long, or hold spaces or other than ASCII: they work, or are refused before anything is sent."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec

REGISTER = {
    "env_deploy_register_profile": True,
    "env_deploy_register_commands": ["pip"],
    "env_deploy_register_frozen": True,
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), [HostSpec("host", "bullseye", storage="tmpfs")]) as started:
        yield started


@pytest.fixture
def host(fleet: Fleet) -> Iterator[Host]:
    yield fleet.host("host")
    fleet.host("host").run("rm -rf /opt/* /etc/conda /etc/profile.d/airgap* /usr/local/bin/pip")


def in_directory(envs_dir: str, **variables: object) -> tuple[str, str]:
    return "-e", json.dumps({"env_deploy_envs_dir": envs_dir, **variables})


@pytest.mark.parametrize(
    "envs_dir",
    ["/opt/with a space", "/opt/\u00fcber", "/opt/\u65e5\u672c & more; (x) #1", "/opt/" + "long/" * 40 + "x"],
)
def test_an_odd_prefix_works(envs_dir: str, host: Host, controller: Controller, tools: Path) -> None:
    done = controller.rollout(tools, *in_directory(envs_dir, **REGISTER, env_deploy_bytecode=True))
    assert done.rc == 0 and done.changed == 1, done.output
    assert broken_promises(host, f"{envs_dir}/tools") == {}
    prefix = shlex.quote(f"{envs_dir}/tools")
    assert "site-packages/pip" in host.run(f"cd /; {prefix}/bin/pip --version").stdout
    assert host.run("cd /; bash -lc 'pip --version'", user="plain").stdout.startswith("pip ")
    assert host.run("bash -lc 'echo \"$CONDA_PREFIX\"'", user="plain").stdout.strip() == f"{envs_dir}/tools"
    again = controller.rollout(tools, *in_directory(envs_dir, **REGISTER, env_deploy_bytecode=True))
    assert again.rc == 0 and again.changed == 0, again.output


@pytest.mark.parametrize(
    ("envs_dir", "said"),
    [
        ("/opt/" + "x" * 250, "can carry"),
        ("/opt/a:b", "the PATH of an activated environment cannot carry"),
        ("/opt/it's", ".py cannot carry"),
        ('/opt/"quoted"', ".py cannot carry"),
        ("/opt/two\nlines", "the PATH of an activated environment cannot carry"),
    ],
)
def test_a_prefix_that_a_file_cannot_carry_is_refused_with_the_file(
    envs_dir: str, said: str, host: Host, controller: Controller, tools: Path
) -> None:
    sent = host.interface_bytes()[0]
    for arguments in (("--check",), ()):
        refused = controller.rollout(tools, *in_directory(envs_dir), *arguments)
        assert refused.rc != 0 and said in refused.output and "Traceback" not in refused.output, refused.output
    assert host.interface_bytes()[0] - sent < 2_000_000
    assert host.run("ls -A /opt").stdout == ""


def test_a_prefix_that_is_no_utf_8_is_refused(host: Host, controller: Controller, tools: Path) -> None:
    refused = controller.rollout(tools, *in_directory("/opt/caf\udce9"))
    assert refused.rc != 0 and "Traceback" not in refused.output, refused.output
    assert host.run("ls -A /opt").stdout == ""
