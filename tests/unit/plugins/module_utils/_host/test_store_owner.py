# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store that another user may have made, and a link at the prefix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import TinyBundle, snapshot


@pytest.mark.parametrize("name", [".airgap", ".airgap/ml"])
def test_a_link_in_the_place_of_the_store_is_refused(site: Site, one: TinyBundle, name: str) -> None:
    elsewhere = site.top / "elsewhere"
    elsewhere.mkdir()
    link = site.envs / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    before = snapshot(site.top)
    for check_mode in (True, False):
        with pytest.raises(DeployError, match=f"{name} is no directory, so somebody else put it there; move it away"):
            site.run(site.order(one), check_mode=check_mode)
    assert snapshot(site.top) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away takes root; run the suite as root")
@pytest.mark.parametrize("name", [".airgap", ".airgap/ml"])
def test_a_store_of_another_user_is_refused(site: Site, one: TinyBundle, two: TinyBundle, name: str) -> None:
    site.present(one)
    os.chown(site.envs / name, 12345, 12345)
    sentence = f"{name} belongs to another user \\(uid 12345\\)"
    with pytest.raises(DeployError, match=sentence):
        site.run(site.order(two))
    with pytest.raises(DeployError, match=sentence):
        site.run(site.order())
    with pytest.raises(DeployError, match=sentence):
        site.back("1")


def test_what_a_link_at_the_prefix_leads_to_is_not_ours(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    moved = site.prefix.rename(site.top / "moved")
    site.prefix.symlink_to(moved)
    before = snapshot(moved)
    with pytest.raises(DeployError, match="exists and was not deployed by airgap"):
        site.run(site.order(two))
    with pytest.raises(DeployError, match="has no receipt of airgap"):
        site.run(site.order())
    assert snapshot(moved) == before
    assert Path(os.readlink(site.prefix)) == moved
