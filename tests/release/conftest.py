# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the suites of a release share: the collection's tarball, and the tools of C(.venv/release)."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import ansible

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as it is published."""
    into = tmp_path_factory.mktemp("tarball")
    command = [str(ansible.BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(into)]
    built = ansible.run(command, cwd=CHECKOUT)
    assert built.rc == 0, built.output
    (found,) = into.glob("airgap-conda-*.tar.gz")
    return found


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where the programs of requirements-release.txt are."""
    return CHECKOUT / ".venv/release/bin"
