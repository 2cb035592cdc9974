# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host in a directory, and bundles for it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import acting, deployment
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Scope
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    make_bundle,
    tool_members,
)

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    top = tmp_path / "site"
    top.mkdir()
    site = Site(top)
    # Whole disks are not waited for: no power is lost here.
    monkeypatch.setattr(acting, "sync", lambda _path: None)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(deployment, "scope_of", lambda _order: Scope(False, str(site.home), {ME: str(site.home)}))
    return site


@pytest.fixture
def one(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "1.0", tool_members("1.0"))


@pytest.fixture
def two(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "2.0", tool_members("2.0"))


@pytest.fixture
def three(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "3.0", tool_members("3.0"))
