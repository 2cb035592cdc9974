# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another made becomes generation zero."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import verify
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    snapshot,
)


def test_an_environment_of_another_is_adopted_and_nothing_of_it_is_lost(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    (site.prefix / "bin").mkdir(parents=True)
    (site.prefix / "bin/tool").write_text("theirs")
    (site.prefix / "own").symlink_to("bin")
    site.prefix.chmod(0o750)
    before = snapshot(site.prefix)
    with pytest.raises(DeployError, match="or have it kept as generation zero with env_deploy_adopt"):
        site.run(site.order(one))
    assert site.run(site.order(one, adopt=True), check_mode=True)["actions"][0].startswith("keep what is at")
    assert snapshot(site.prefix) == before
    site.present(one, adopt=True)
    site.assert_settled(site.order(one, adopt=True))
    assert site.prefix.stat().st_mode & 0o777 == 0o750
    (zero,) = site.generations()
    assert zero.startswith("0000-")
    for bundle in (two, one, two):
        site.present(bundle, keep=1)
        assert zero in site.generations()
    kept = snapshot(site.store.tree(zero))
    assert {path: kept[path] for path in before} == before
    assert set(kept) - set(before) == {"conda-meta", GENERATION_MARKER}
    assert not any(verify(site.store, site.store.tree(zero), zero, "full").damage)

    with pytest.raises(DeployError, match="was adopted, not deployed, so nothing is removed"):
        site.run(site.order())
    site.run(site.order(on_unexpected="keep"))
    assert (Path(site.store.quarantine) / zero / "bin/tool").read_text() == "theirs"
    site.assert_settled(site.order())


def test_an_adopted_environment_that_is_live_again_is_upgraded_with_what_was_done_in_it(
    site: Site, one: TinyBundle
) -> None:
    site.prefix.mkdir()
    (site.prefix / "theirs").write_text("1")
    with pytest.raises(DeployError, match=r"^health: "):
        site.present(one, adopt=True, health={"commands": ["false"]})
    assert (site.prefix / "theirs").read_text() == "1"
    (site.prefix / "theirs").write_text("2")
    (site.prefix / "more").write_text("3")
    site.present(one)
    (zero,) = [name for name in site.generations() if name.startswith("0000-")]
    assert not any(verify(site.store, site.store.tree(zero), zero, "full").damage)
    assert (Path(site.store.tree(zero)) / "more").read_text() == "3"
    site.assert_settled(site.order(one))
