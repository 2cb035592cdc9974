# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations on real hosts: back, forward, unhealthy ones, canaries, and what runs from an old one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from world.ansible import BIN, run
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec

PREFIX = "/opt/conda/envs/light"
PYTHON = f"{PREFIX}/bin/python"
BACK = ("-e", "env_rollback_name=light")
LINKED = ("-e", json.dumps({"env_deploy_register_commands": ["python3.11"]}))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    releases = {"host1": "bullseye", "host2": "trixie"}
    hosts = [HostSpec(name, release, storage="tmpfs") for name, release in releases.items()]
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts) as started:
        yield started


@pytest.fixture(autouse=True)
def _clean(fleet: Fleet) -> Iterator[None]:
    """Each test begins on hosts without environments."""
    yield
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda /etc/conda /usr/local/bin/python3.11 /tmp/broken")


def attrs(host: Host) -> str:
    return host.run(f"cd /; {PYTHON} -c 'import attr; print(attr.__version__)'").stdout.strip()


def info(fleet: Fleet, directory: Path) -> dict[str, Any]:
    """What env_info tells of the one environment of each host."""
    words = [str(BIN / "ansible"), "all", "-i", str(fleet.inventory), "-o", "-m", "airgap.conda.env_info"]
    done = run(words, cwd=directory, home=directory)
    assert done.rc == 0, done.output
    told = {}
    for line in done.output.splitlines():
        name, arrow, text = line.partition(" | SUCCESS => ")
        if arrow:
            (told[name],) = json.loads(text)["environments"]
    return told


def test_a_rollout_is_taken_back_without_sending_anything_and_brought_forward_again(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path, tmp_path: Path
) -> None:
    controller.rollout(light_earlier, *LINKED)
    controller.rollout(light, *LINKED)
    sent = [host.interface_bytes()[0] for host in fleet.hosts]
    checked = controller.run("rollback", *BACK, "--check", "--diff")
    assert checked.rc == 0 and checked.changed == 2, checked.output
    assert "-attrs 23.1.0 (pip)" in checked.output and "+attrs 22.2.0 (pip)" in checked.output
    assert [attrs(host) for host in fleet.hosts] == ["23.1.0"] * 2
    back = controller.run("rollback", *BACK)
    assert back.rc == 0 and back.changed == 2, back.output
    for host, before in zip(fleet.hosts, sent, strict=True):
        assert attrs(host) == "22.2.0"
        assert "/opt/conda" in host.run("cd /; /usr/local/bin/python3.11 -c 'import sys; print(sys.prefix)'").stdout
        assert broken_promises(host, PREFIX) == {}
        assert host.interface_bytes()[0] - before < 1_000_000
    again = controller.run("rollback", *BACK)
    assert again.rc == 0 and again.changed == 0, again.output
    # The inventory asks for it, so nothing is to be done.
    assert controller.rollout(light_earlier, *LINKED).changed == 0
    forward = controller.run("rollback", *BACK, "-e", "env_rollback_to=2")
    assert forward.rc == 0 and forward.changed == 2, forward.output
    for told in info(fleet, tmp_path).values():
        assert [each["live"] for each in told["generations"]] == [False, True]
        assert [each["how"] for each in told["switches"]] == ["deploy", "deploy", "rollback", "rollback"]
    for host in fleet.hosts:
        assert attrs(host) == "23.1.0"
        assert broken_promises(host, PREFIX) == {}


def test_a_damaged_generation_is_refused_and_made_anew_of_its_bundle(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path
) -> None:
    controller.rollout(light_earlier)
    controller.rollout(light)
    for host in fleet.hosts:
        # Written anew, and not through a link that the live one may share.
        host.run("cd /opt/conda/envs/.airgap/light/generations/0001-*/ && rm bin/pip && echo oops > bin/pip")
    refused = controller.run("rollback", *BACK)
    assert refused.rc != 0 and "is damaged: bin/pip" in refused.output, refused.output
    assert [attrs(host) for host in fleet.hosts] == ["23.1.0"] * 2
    back = controller.run("rollback", *BACK, "-e", f"env_rollback_bundle={light_earlier}")
    assert back.rc == 0 and back.changed == 2, back.output
    for host in fleet.hosts:
        assert attrs(host) == "22.2.0"
        assert broken_promises(host, PREFIX) == {}
    assert controller.run("rollback", *BACK).changed == 0


def test_users_never_meet_a_generation_that_is_not_healthy(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path, tmp_path: Path
) -> None:
    controller.rollout(light_earlier)
    # Notes what users see while the check sees the new one.
    seen = "python -W ignore -c 'import attr; print(attr.__version__)'"
    command = f"{seen}; cat /proc/1/root{PREFIX}/conda-meta/airgap-generation; exit 3"
    health = json.dumps({"env_deploy_health": {"commands": [command]}})
    failed = controller.rollout(light, "-e", health)
    assert failed.rc != 0, failed.output
    for host in fleet.hosts:
        assert attrs(host) == "22.2.0"
        assert f"fatal: [{host.name}]" in failed.output
    assert "ended with 3: 23.1.0 | 0001-" in failed.output and "; nothing was switched" in failed.output
    for told in info(fleet, tmp_path).values():
        assert [bool(each["failure"]) for each in told["generations"]] == [False, True]
    refused = controller.run("rollback", *BACK, "-e", "env_rollback_to=2")
    assert refused.rc != 0 and "failed its health check" in refused.output, refused.output


def test_a_plain_users_unhealthy_generation_is_switched_back(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path
) -> None:
    plain = ("-l", "host2", "-e", "ansible_user=plain", "-e", "env_deploy_envs_dir=/home/plain/envs")
    controller.rollout(light_earlier, *plain)
    health = json.dumps({"env_deploy_health": {"commands": ["echo no luck; exit 3"]}})
    failed = controller.rollout(light, *plain, "-e", health)
    assert failed.rc != 0 and "no luck; generation 0001-" in failed.output, failed.output
    host = fleet.host("host2")
    assert broken_promises(host, "/home/plain/envs/light") == {}
    python = "/home/plain/envs/light/bin/python"
    assert "22.2.0" in host.run(f"{python} -c 'import attr; print(attr.__version__)'").stdout
    host.run("rm -rf /home/plain/envs /home/plain/.conda")


def test_the_rollout_stops_at_the_canary(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path, tmp_path: Path
) -> None:
    controller.rollout(light_earlier)
    look = r"find /opt/conda -printf '%p %i %C@\n' | sort"
    untouched = [host.run(look).stdout for host in fleet.hosts]
    (tmp_path / "canary.yml").write_text(
        "- name: Roll out, one host first\n"
        "  hosts: all\n"
        "  gather_facts: false\n"
        "  serial: [1, '100%']\n"
        "  max_fail_percentage: 0\n"
        "  roles:\n"
        "    - role: airgap.conda.env_deploy\n"
        f"      env_deploy_bundle: {light}\n"
        "      env_deploy_bytecode: false\n"
        "      env_deploy_health: {commands: ['exit 1']}\n"
    )
    words = [str(BIN / "ansible-playbook"), "canary.yml", "-i", str(fleet.inventory)]
    stopped = run(words, cwd=tmp_path, home=tmp_path)
    assert stopped.rc != 0 and set(stopped.recap) == {"host1"}, stopped.output
    assert stopped.recap["host1"]["failed"] == 1
    for host, before in list(zip(fleet.hosts, untouched, strict=True))[1:]:
        assert host.run(look).stdout == before
    assert [attrs(host) for host in fleet.hosts] == ["22.2.0"] * 2


def test_what_runs_from_an_old_generation_keeps_its_files_and_is_told(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path, tmp_path: Path
) -> None:
    controller.rollout(light_earlier)
    host = fleet.host("host2")
    started = host.run(
        "cd /; setsid /opt/conda/envs/light/bin/python -c"
        " 'import sys, time, attr; time.sleep(120) or print(\"secret\")' >/dev/null 2>&1 & echo $!"
    )
    pid = int(started.stdout)
    try:
        controller.rollout(light)
        told = info(fleet, tmp_path)["host2"]
        (process,) = told["processes"]
        assert (process["pid"], process["user"], process["command"]) == (pid, "root", "python")
        assert process["generation"].startswith("0001-")
        assert "secret" not in json.dumps(told)
        # It has the old program and libraries open, and would import what it has not from the path: the new ones.
        assert "/generations/0001-" in host.run(f"readlink /proc/{pid}/exe").stdout
    finally:
        host.run(f"kill {pid}")
    assert info(fleet, tmp_path)["host2"]["processes"] == []
