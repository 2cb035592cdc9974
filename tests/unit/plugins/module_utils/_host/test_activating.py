# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health, and what is kept becoming live again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import (
    activating,
    switching,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import recorded_switches
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site, no_view
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    snapshot,
)


def test_an_unhealthy_first_deployment_leaves_nothing_live(site: Site, one: TinyBundle) -> None:
    health = {"commands": ["echo it is; echo broken; exit 3"]}
    with pytest.raises(DeployError, match=r"^health: `echo it is; echo broken; exit 3` ended with 3: it is | broken$"):
        site.present(one, health=health)
    assert not site.prefix.exists()
    assert not (site.home / ".local/bin/tool").is_symlink()
    site.present(one)
    assert site.output() == f"1.0 at {site.prefix}\n"
    site.assert_settled(site.order(one))


@pytest.mark.skipif(os.geteuid() != 0, reason="a private view takes root; run the suite as root")
def test_the_health_of_an_upgrade_is_checked_before_the_switch(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    live = snapshot(site.prefix)
    # The link that users have leads into the live tree, and for the check into the new one.
    command = f"cat {site.home}/.local/bin/tool > {site.top}/checked; exit 3"
    with pytest.raises(DeployError, match=r"^health: `cat .*` ended with 3: ; nothing was switched, and what failed "):
        site.present(two, health={"commands": [command]})
    assert snapshot(site.prefix) == live
    assert b"2.0" in (site.top / "checked").read_bytes()
    assert site.generations() == [f"0002-{two.manifest.content_id[:12]}"]
    site.assert_settled(site.order(one))


@pytest.mark.parametrize("exchange", [True, False])
def test_an_unhealthy_upgrade_leaves_the_old_generation_live(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    monkeypatch.setattr(activating, "check_before", no_view)
    if not exchange:
        monkeypatch.setattr(switching, "exchange", lambda _one, _other: False)
    site.present(one)
    live = snapshot(site.prefix)
    with pytest.raises(DeployError, match=r"^health: `tool \| grep .*` ended with 1"):
        site.present(two, health={"commands": ["tool | grep '^1[.]0'"]})
    assert snapshot(site.prefix) == live
    failed = f"0002-{two.manifest.content_id[:12]}"
    assert site.generations() == [failed]
    assert site.store.failure(failed).startswith("health: `tool | grep")
    # Commands and what they print are not for everybody.
    assert os.stat(site.store.path("failed", failed)).st_mode & 0o777 == 0o600
    site.assert_settled(site.order(one))
    # Another try needs nothing sent.
    (result,) = site.present(two)
    assert result["environments"][0]["generation"] == failed
    assert site.store.failure(failed) == ""
    site.assert_settled(site.order(two))


@pytest.mark.parametrize("exchange", [True, False])
def test_what_is_kept_becomes_live_again_without_being_sent(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(switching, "exchange", lambda _one, _other: False)
    register = {"frozen": True}
    for bundle in (one, two):
        site.present(bundle, register=register)
    for bundle, generation in ((one, "0001"), (two, "0002"), (one, "0001")):
        (result,) = site.present(bundle, register=register)
        assert result["changed"] and result["environments"][0]["generation"].startswith(f"{generation}-")
        assert site.output() == f"{bundle.path.name} at {site.prefix}\n"
        assert (site.prefix / "conda-meta/frozen").exists()
        site.assert_settled(site.order(bundle, register=register))
    assert [switch.generation[:4] for switch in recorded_switches(site.store)] == [
        "0001",
        "0002",
        "0001",
        "0002",
        "0001",
    ]


def test_what_is_kept_and_damaged_is_made_anew(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    site.present(two)
    (kept,) = site.generations()
    (Path(site.store.tree(kept)) / "bin/tool").write_text("broken")
    result = site.present(one)[-1]
    assert result["environments"][0]["generation"].startswith("0003-")
    assert site.output() == f"1.0 at {site.prefix}\n"
