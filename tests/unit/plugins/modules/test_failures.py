# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules say when they fail: one line, with the path and with what to do, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

MODULES = "ansible_collections.airgap.conda.plugins.modules"


def failure(module: str, **arguments: t.Any) -> str:
    """Run *module* by itself, and return why it fails."""
    return str(result(module, **arguments)["msg"])


def result(module: str, **arguments: t.Any) -> dict[str, t.Any]:
    """Run *module* by itself, which fails, and return all it says."""
    done = subprocess.run(
        [sys.executable, "-m", f"{MODULES}.{module}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    said: dict[str, t.Any] = json.loads(done.stdout)
    assert said["failed"]
    return said


@pytest.fixture
def blocked(tmp_path: Path) -> str:
    """A directory that nobody can make."""
    (tmp_path / "file").write_text("")
    return str(tmp_path / "file/dist")


def test_where_a_bundle_cannot_lie_is_told(blocked: str, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"x")
    said = failure("bundle", archive=str(tmp_path / "archive"), name="ml", dist=blocked)
    assert said == f"{blocked}: Not a directory; nothing half-made is left, run again"


def test_what_may_not_be_looked_at_is_told(tmp_path: Path) -> None:
    loop = tmp_path / "envs"
    loop.symlink_to(loop)
    said = failure("env_info", envs_dirs=[str(loop)])
    assert said == f"{loop}/.airgap: Too many levels of symbolic links; look as who deployed, or use become"


def test_logins_of_sources_are_not_shown(tmp_path: Path) -> None:
    source = {"type": "url", "url": "ftp://site", "password": "pw-s3cret", "proxy": "http://ann:px-s3cret@proxy:3128"}
    said = result("env_deploy", environments=[{"name": "ml", "envs_dir": str(tmp_path), "source": source}])
    assert "must begin with http://" in said["msg"]
    assert "s3cret" not in json.dumps(said)
