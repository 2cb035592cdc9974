# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An execution environment of the collection, as far as it can be made without a container engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from world import ansible, bundles, channel

HERE = Path(__file__).parent


def run(*command: str | Path, cwd: Path) -> str:
    done = ansible.run([*map(str, command)], cwd=cwd, environment={"PYTHONPATH": ""})
    assert done.rc == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def build(tarball: Path, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the stages of an image work in, with what the collection asks for."""
    top = tmp_path_factory.mktemp("image")
    shutil.copy(HERE / "execution-environment.yml", top)
    shutil.copy(tarball, top / "airgap-conda.tar.gz")
    run(tools / "ansible-builder", "create", "--context", "context", cwd=top)
    build = top / "context/_build"
    # What the image's own stages do.
    install = ("collection", "install", "--offline", "-r", "requirements.yml", "-p", "installed")
    run(tools / "ansible-galaxy", *install, cwd=build)
    written = ("--write-pip=pip.txt", "--write-bindep=bindep.txt")
    run(tools / "python", "scripts/introspect.py", "introspect", "installed", *written, cwd=build)
    return build


def test_it_asks_for_a_client_of_ssh(build: Path) -> None:
    asked = [line.split("#")[0].strip() for line in (build / "bindep.txt").read_text().splitlines()]
    assert "openssh-client [platform:dpkg]" in asked and "openssh-clients [platform:rpm]" in asked


def test_what_it_asks_for_is_enough_to_build_and_roll_out(build: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "image", cwd=tmp_path)
    run(tmp_path / "image/bin/pip", "install", "-q", "-r", build / "pip.txt", "ansible-core>=2.19,<2.20", cwd=tmp_path)
    variables = {"ANSIBLE_COLLECTIONS_PATH": str(build / "installed"), "PYTHONPATH": ""}
    program = str(tmp_path / "image/bin/ansible-playbook")

    def play(name: str, given: dict[str, object]) -> None:
        command = [program, "-i", "localhost,", "-c", "local", f"airgap.conda.{name}", "-e", json.dumps(given)]
        done = ansible.run(command, cwd=tmp_path, home=tmp_path, environment=variables)
        assert done.rc == 0 and done.changed, done.output

    (tmp_path / "environment.yml").write_text(bundles.EXAMPLE)
    play("build", {"env_build_spec": "environment.yml", "env_build_channels": [channel.ensure()]})
    given = {
        "ansible_python_interpreter": str(tmp_path / "image/bin/python"),
        "env_deploy_bundle": "dist/my_env-linux-64",
        "env_deploy_bytecode": False,
        # A conda's own directory needs no registration outside of it.
        "env_deploy_envs_dir": str(tmp_path / "envs"),
        "env_deploy_register_conda_root": str(tmp_path),
    }
    play("rollout", given)
    shown = [str(tmp_path / "envs/my_env/bin/python"), "-c", "import pandas; print(pandas.__version__)"]
    assert subprocess.check_output(shown, text=True) == "1.5.3\n"
