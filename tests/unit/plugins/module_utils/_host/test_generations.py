# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many generations are kept."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    make_bundle,
    tool_members,
)


def test_as_many_generations_are_kept_as_asked_for(site: Site, tmp_path: Path) -> None:
    bundles = [make_bundle(tmp_path / version, tool_members(version)) for version in ("1.0", "2.0", "3.0", "4.0")]
    for bundle in bundles:
        site.present(bundle, keep=3)
    assert [name[:4] for name in site.generations()] == ["0002", "0003"]
    order = site.order(bundles[-1], keep=2)
    predicted = site.run(order, check_mode=True)["actions"]
    result = site.run(order)
    assert result["changed"] and result["actions"] == predicted
    assert [name[:4] for name in site.generations()] == ["0003"]
    site.assert_settled(order)
    with pytest.raises(DeployError, match="env_deploy_keep counts the live generation, so it is 1 or more, not 0"):
        site.run(site.order(bundles[-1], keep=0))


def test_a_generation_that_is_in_use_stays_until_it_is_not(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    with subprocess.Popen(["sleep", "60"], cwd=site.prefix / "lib") as process:
        try:
            site.present(two, keep=1)
            assert [name[:4] for name in site.generations()] == ["0001"]
            site.assert_settled(site.order(two, keep=1))
            site.run(site.order(two, keep=1, collect_used=True))
            assert site.generations() == []
        finally:
            process.kill()
    site.assert_settled(site.order(two, keep=1))


def test_of_those_that_failed_only_the_last_is_kept(site: Site, tmp_path: Path, one: TinyBundle) -> None:
    site.present(one)
    for version in ("2.0", "3.0", "4.0"):
        with pytest.raises(DeployError, match=r"^health: "):
            site.present(make_bundle(tmp_path / version, tool_members(version)), health={"commands": ["false"]})
    assert len(site.generations()) == 1
    site.assert_settled(site.order(one))
