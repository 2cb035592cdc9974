# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where ansible-test runs: it wants a collection below ansible_collections, and refuses links."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from world import channel
from world.process import run

from .core import CHECKOUT, Core

#: Made by `make copy`: every file of the checkout that git knows.
COPY = CHECKOUT / "build/collections/ansible_collections/airgap/conda"
INSTALLED = CHECKOUT / "build/installed"


def checkout() -> Path:
    """The copy of the checkout; what ansible-test keeps between runs is beside it."""
    kept = CHECKOUT / "build/ansible-test"
    kept.mkdir(parents=True, exist_ok=True)
    output = COPY / "tests/output"
    if not output.is_symlink():
        output.symlink_to(kept)
    return _repository(COPY)


def installed(core: Core) -> Path:
    """The collection as its tarball installs it, with the targets of the integration tests put beside."""
    galaxy = core.venv / "bin/ansible-galaxy"
    shutil.rmtree(INSTALLED, ignore_errors=True)
    run([galaxy, "collection", "build", COPY, "--output-path", INSTALLED], timeout=120)
    tarball = next(INSTALLED.glob("airgap-conda-*.tar.gz"))
    run([galaxy, "collection", "install", tarball, "--offline", "--collections-path", INSTALLED], timeout=120)
    collection = INSTALLED / "ansible_collections/airgap/conda"
    shutil.copytree(COPY / "tests/integration", collection / "tests/integration")
    variables = json.dumps({"test_channel": channel.ensure()})
    (collection / "tests/integration/integration_config.yml").write_text(variables)
    return _repository(collection)


def _repository(collection: Path) -> Path:
    """Make it a repository: else git is asked about the one around it, which ignores all in build."""
    run(["git", "init", "--quiet", collection], timeout=30)
    return collection
