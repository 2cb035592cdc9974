# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments built on this machine, and the two ways to carry them by hand: plain conda-pack, and our bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from ansible_collections.airgap.conda.plugins.module_utils._builder.bundles import Bundled, Policy, Target, make_bundle
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress

from world import channel

PLATFORM = "linux-64"
#: Of an account that need not exist.
STRANGER = 4242

_TIMEOUT = 300

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Workshop:
    """A builder's directory: environments, the package cache, and what is packed."""

    here: Path

    def environment(self, name: str, *dependencies: str, pip: Sequence[str] = ()) -> Path:
        """Build an environment with module env, without Ansible around it; its prefix."""
        wanted: list[object] = [*dependencies, *([{"pip": list(pip)}] if pip else [])]
        spec = json.dumps({"name": name, "channels": [channel.ensure()], "dependencies": wanted})
        # JSON is YAML.
        arguments = {"spec": "environment.yml", "content": spec, "workdir": str(self.here / "build")}
        done = subprocess.run(
            [sys.executable, "-m", "ansible_collections.airgap.conda.plugins.modules.env"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Path(json.loads(done.stdout)["prefix"])

    def bundle(self, prefix: Path, policy: Policy | None = None, *, dist: str = "dist") -> Bundled:
        """Pack an environment as module bundle does."""
        target = Target(str(prefix), prefix.parent.name.removesuffix(f"-{PLATFORM}"), PLATFORM, str(self.here / dist))
        with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(self.here / "cache")):
            return make_bundle(target, "", Progress(), policy or Policy())

    def archive(self, prefix: Path, policy: Policy | None = None) -> Path:
        """Our archive of an environment."""
        return Path(self.bundle(prefix, policy).directory) / "archive.tar.zst"

    def plain(self, prefix: Path, kind: str = "tar", *options: str) -> Path:
        """The archive that plain conda-pack makes."""
        archive = self.here / f"{prefix.parent.name}.{kind}"
        done = conda_pack(prefix, archive, *options)
        assert done.returncode == 0, done.stderr
        return archive


def conda_pack(prefix: Path, archive: Path, *options: str) -> Done:
    """Run conda-pack itself, as it is installed beside the Python that runs the tests."""
    program = Path(sys.executable).with_name("conda-pack")
    command: list[str | Path] = [program, "--quiet", "--force", "--prefix", prefix, "--output", archive, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)


def unpack(archive: Path, directory: Path) -> Path:
    """Unpack by hand, with tar."""
    directory.mkdir(parents=True)
    done = subprocess.run(
        ["tar", "-xf", archive, "-C", directory], capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    return directory


def run(*command: str | Path, cwd: Path | None = None, path: str = "/usr/bin:/bin", user: int = 0) -> Done:
    """Run a program with nothing in its environment but a PATH; as another user where this is root."""
    other = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user and os.geteuid() == 0 else []
    return subprocess.run(
        [*other, *map(str, command)],
        cwd=cwd or "/",
        env={"PATH": path, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )


def conda_unpack(tree: Path, *before: str | Path) -> Done:
    """Run the archive's own conda-unpack; *before* it, an interpreter and its options.

    Where the environment has no Python, a host has one on its PATH.
    """
    path = f"{tree}/bin:/usr/bin:/bin:{Path(sys.executable).parent}"
    return run(*before, tree / "bin/conda-unpack", path=path)


def carried(archive: Path, directory: Path) -> Path:
    """Unpack by hand and run conda-unpack."""
    tree = unpack(archive, directory)
    done = conda_unpack(tree)
    assert done.returncode == 0, done.stderr
    return tree
