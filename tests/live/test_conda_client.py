# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A conda client, where there is one, lists, activates and maintains what was deployed, and finds it healthy.

    AIRGAP_TEST_CONDA=/opt/miniforge3 .venv/bin/pytest tests/live/test_conda_client.py

$AIRGAP_TEST_CONDA names a conda installation on this machine: its directory, or its `conda`. A plain user whose home
is the test's deploys and runs it, in namespaces in which /etc and the installation are read-only and there is no
network; nothing on the machine is changed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from world import ansible, bundles, cache

NAME = "my_env"
USER = "scientist"
#: The installation, the list of users, then what is run.
CELL = """\
for path in /etc "$1"; do
    mount --rbind "$path" "$path"
    mount -o remount,bind,ro "$path"
done
mount --bind "$2" /etc/passwd
shift 2
exec unshare --user --map-user=1000 --map-group=1000 -- "$@"
"""
#: What conda's doctor says of each check that needs neither a network nor other users.
HEALTHY = ("packages with missing files", "packages with altered files", "The environment is consistent", "No pinned")


@dataclasses.dataclass(frozen=True)
class Person:
    """A plain user of this machine, who may not write to the installation of conda."""

    installation: Path
    home: Path

    @property
    def prefix(self) -> Path:
        return self.home / "envs" / NAME

    def run(self, *words: str) -> ansible.Play:
        users = self.home.with_name("passwd")
        cell = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--", "/bin/sh", "-ec", CELL, "sh"]
        own = {"HOME": self.home, "USER": USER, "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        environment = ["env", "-i", *(f"{name}={value}" for name, value in own.items())]
        return ansible.run([*cell, str(self.installation), str(users), *environment, *words], cwd=self.home)

    def conda(self, *words: str) -> str:
        """Return what a conda that succeeds prints."""
        done = self.run(str(self.installation / "bin/conda"), *words)
        assert done.rc == 0, done.output
        return done.output

    def conda_json(self, *words: str) -> object:
        """Return the JSON that conda prints; what it warns of stands before."""
        output = self.conda(*words, "--json")
        return json.loads(output[min(output.find(start) % len(output) for start in "[{") :])

    def environments(self) -> dict[str, str]:
        """By name, the prefixes that conda lists."""
        lines = self.conda("info", "--envs").splitlines()
        rows = [line.split() for line in lines if line and not line.startswith("#")]
        return {row[0]: row[-1] for row in rows}

    def play(self, playbook: str, **variables: object) -> ansible.Play:
        """Run a playbook on this machine, as this user."""
        given = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "env_deploy_envs_dir": str(self.home / "envs"),
            "env_deploy_register_conda_root": str(self.installation),
            "env_deploy_register_users": [USER],
            **{f"env_deploy_{name}": value for name, value in variables.items()},
        }
        command = [str(ansible.BIN / "ansible-playbook"), f"airgap.conda.{playbook}", "-i", "here,"]
        return self.run(*command, "-e", json.dumps(given))


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    named = os.environ.get("AIRGAP_TEST_CONDA")
    if not named:
        pytest.skip("no conda is named; run with AIRGAP_TEST_CONDA=/path/of/an/installation")
    installation = Path(named).absolute()
    if not installation.is_dir():
        installation = installation.parents[1]
    home = tmp_path_factory.mktemp("machine") / "home"
    home.mkdir()
    home.with_name("passwd").write_text(f"root:x:0:0::/root:/bin/sh\n{USER}:x:1000:1000::{home}:/bin/bash\n")
    found = Person(installation, home)
    started = found.run("true")
    if started.rc:
        pytest.skip(f"this user may not make namespaces; run the suite as root on Linux: {started.output}")
    return found


@pytest.fixture(scope="module")
def deployed(person: Person, example: Path) -> Iterator[Person]:
    """Someone whose environment is deployed."""
    done = person.play("rollout", bundle=str(example))
    assert done.rc == 0 and done.changed == 1, done.output
    yield person


def healthy(person: Person) -> dict[str, bool]:
    """By check of conda's doctor, whether it passes."""
    passed = [line for line in person.conda("doctor", "-n", NAME).splitlines() if line.startswith("✅")]
    return {check: any(check in line for line in passed) for check in HEALTHY}


def test_it_is_listed_by_its_name(deployed: Person) -> None:
    assert deployed.environments()[NAME] == str(deployed.prefix)
    listed = deployed.conda_json("env", "list")
    assert isinstance(listed, dict) and str(deployed.prefix) in listed["envs"]
    # Neither the store nor what is in it is an environment.
    assert not [prefix for prefix in listed["envs"] if ".airgap" in prefix]


def test_conda_knows_the_packages_of_the_bundle(deployed: Person, example: Path) -> None:
    packages = json.loads((example / "manifest.json").read_text())["packages"]
    expected = {(package["name"], package["version"], package["build"] or "pypi_0") for package in packages}
    for where in (("-n", NAME), ("-p", str(deployed.prefix))):
        listed = deployed.conda_json("list", *where)
        assert isinstance(listed, list)
        assert {(package["name"], package["version"], package["build_string"]) for package in listed} == expected


def test_it_can_be_activated(deployed: Person) -> None:
    script = f"""
        set -e
        eval "$({deployed.installation}/bin/conda shell.bash hook)"
        conda activate {NAME}
        echo "$CONDA_DEFAULT_ENV" "$CONDA_PREFIX" "$(command -v python)"
        python -c 'import pandas; print(pandas.__version__)'
        conda deactivate
        echo "$(command -v python || echo none)"
    """
    done = deployed.run("bash", "-c", script)
    *during, after = done.output.split()
    assert during == [NAME, str(deployed.prefix), str(deployed.prefix / "bin/python"), "1.5.3"], done.output
    assert not after.startswith(str(deployed.prefix))


def test_the_doctor_finds_it_healthy(deployed: Person) -> None:
    assert healthy(deployed) == dict.fromkeys(HEALTHY, True)


def test_its_history_is_what_was_asked_for(deployed: Person) -> None:
    exported = deployed.conda("env", "export", "-n", NAME, "--from-history")
    known = yaml.safe_load(exported[exported.index("name:") :])
    asked = yaml.safe_load(bundles.EXAMPLE)["dependencies"]
    assert sorted(known["dependencies"]) == sorted(word for word in asked if isinstance(word, str))
    revisions = deployed.conda("list", "-n", NAME, "--revisions")
    assert "(rev 0)" in revisions and "+pandas-1.5.3" in revisions
    # Where the builder keeps its channel is no business of hosts.
    assert str(cache.root()) not in revisions


def test_what_conda_creates_lands_in_its_own_directory(deployed: Person) -> None:
    deployed.conda("create", "--offline", "--yes", "--name", "other")
    try:
        assert deployed.environments()["other"] == str(deployed.home / ".conda/envs/other")
        assert sorted(path.name for path in (deployed.home / "envs").iterdir()) == [".airgap", NAME]
        assert deployed.environments()[NAME] == str(deployed.prefix)
    finally:
        deployed.conda("env", "remove", "--yes", "--name", "other")


def test_conda_refuses_to_change_a_frozen_one(deployed: Person, example: Path) -> None:
    if "--override-frozen" not in deployed.conda("install", "--help"):
        pytest.skip("this conda does not know frozen environments; name a newer one")
    frozen = deployed.play("rollout", bundle=str(example), register_frozen=True)
    assert frozen.rc == 0 and frozen.changed == 1, frozen.output
    for change in ("install", "remove"):
        refused = deployed.run(f"{deployed.installation}/bin/conda", change, "--offline", "--yes", "-n", NAME, "six")
        assert refused.rc != 0 and "was deployed by airgap.conda" in refused.output, refused.output
    assert healthy(deployed) == dict.fromkeys(HEALTHY, True)
    again = deployed.play("rollout", bundle=str(example), register_frozen=True)
    assert again.rc == 0 and again.changed == 0, again.output


def test_conda_forgets_what_is_removed(deployed: Person) -> None:
    removed = deployed.play("remove", name=NAME)
    assert removed.rc == 0 and removed.changed == 1, removed.output
    # The machine may have environments of its own.
    listed = deployed.environments().values()
    assert not [prefix for prefix in listed if prefix.startswith(str(deployed.home))]
    assert list((deployed.home / ".conda/condarc.d").iterdir()) == []
    assert str(deployed.prefix) not in (deployed.home / ".conda/environments.txt").read_text()
