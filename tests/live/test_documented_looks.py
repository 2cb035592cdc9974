# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the modules that change nothing: run as they are shown, they return what is documented."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import bundles
from world.controller import Controller
from world.examples import assert_as_documented, run
from world.fleet import Fleet, HostSpec

PREFIX = "/opt/conda/envs/my_env"
#: A run that is at work.
HOLDER = "import fcntl, time; file = open('/opt/conda/envs/.airgap/my_env/lock', 'a');"
HOLDER += " fcntl.flock(file, 2); time.sleep(600)"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    with Fleet(tmp_path_factory.mktemp("fleet"), [HostSpec("host", "trixie", storage="tmpfs")]) as started:
        yield started


def test_examples_of_bundle_info(example: Path, earlier: Path, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("name: another\n")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/my_env-linux-64").symlink_to(example)
    # With a package that went, and without one that came.
    shutil.copytree(earlier, tmp_path / "earlier/my_env-linux-64")
    bundles.edit(tmp_path / "earlier/my_env-linux-64", lambda manifest: manifest["packages"][0].update(name="gone"))
    newest, compared = run("bundle_info", tmp_path)
    assert newest["spec"] == "changed" and not newest["verified"]
    assert compared["verified"] and "pandas 1.5.2 → 1.5.3" in compared["comparison"]["actions"]
    assert_as_documented("bundle_info", [newest, compared])


@pytest.fixture
def deployed(fleet: Fleet, example: Path, tmp_path: Path) -> Iterator[list[str]]:
    """The example on the host; yields how playbooks find it."""
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/my_env-linux-64").symlink_to(example)
    commands = json.dumps({"env_deploy_register_commands": ["python3.11"]})
    done = Controller(fleet, tmp_path).rollout(example, "-e", commands)
    assert done.rc == 0, done.output
    yield ["-i", str(fleet.inventory)]
    fleet.host("host").run("rm -rf /opt/conda /usr/local/bin/python3.11")


def test_examples_of_env_drift_info(fleet: Fleet, deployed: list[str], tmp_path: Path) -> None:
    host = fleet.host("host")
    host.run(f"rm {PREFIX}/bin/pip; {PREFIX}/bin/python -c 'import json.tool'")
    found = run("env_drift_info", tmp_path, *deployed)
    assert [result["status"] for result in found] == ["drift", "drift"]
    host.run(f'(python3 -c "{HOLDER}" </dev/null >/dev/null 2>&1 & echo $! >/tmp/holder); sleep 1')
    try:
        busy = run("env_drift_info", tmp_path, *deployed)
    finally:
        host.run("kill $(cat /tmp/holder)")
    assert [result["status"] for result in busy] == ["unchecked", "unchecked"]
    assert_as_documented("env_drift_info", [*found, *busy])


def test_examples_of_env_drift_report_and_verdict(fleet: Fleet, deployed: list[str], tmp_path: Path) -> None:
    told = run("env_drift_report", tmp_path, *deployed)
    assert (tmp_path / "reports/drift.html").is_file()
    assert_as_documented("env_drift_report", told)
    judged = run("env_drift_verdict", tmp_path, *deployed)
    assert [result["status"] for result in judged] == ["clean"]
    assert_as_documented("env_drift_verdict", judged)
