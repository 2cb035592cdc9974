# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed, or fails, anywhere leaves old or new, and the next one finishes."""

from __future__ import annotations

import functools
import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import (
    acting,
    activating,
    making,
    switching,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import Registrar
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.conftest import ME
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.killing import killed
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import (
    Fields,
    Site,
    no_view,
    without_marks,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    snapshot,
)

REGISTER = {"commands": ["tool"], "users": [ME], "frozen": True}


def arrived(site: Site, bundle: TinyBundle) -> list[Fields]:
    """Return the part that makes what has arrived of *bundle* complete."""
    (awaited,) = site.run(site.order(bundle, register=REGISTER))["awaited"]
    return [site.part(bundle.stream, awaited, len(bundle.stream))]


def finished(site: Site, bundle: TinyBundle, tree: Fields) -> None:
    """Assert that the next run ends what was begun."""
    site.part_size = len(bundle.stream)
    site.present(bundle, register=REGISTER)
    assert site.tree() == tree
    assert site.output() == f"{bundle.path.name} at {site.prefix}\n"
    site.assert_settled(site.order(bundle, register=REGISTER))
    assert not [name for name in site.generations() if name == "aside"]


@pytest.mark.parametrize("exchange", [True, False])
def test_an_upgrade_that_is_killed_anywhere_leaves_old_or_new_and_is_finished(
    site: Site, one: TinyBundle, two: TinyBundle, *, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(switching, "exchange", lambda _one, _other: False)
    site.present(two, register=REGISTER)
    new = site.tree()
    site.run(site.order())
    site.present(one, register=REGISTER)
    old = site.tree()
    shutil.copytree(site.top, tmp_path / "before", symlinks=True)
    seen, effects = set(), 0
    while True:
        parts = arrived(site, two)
        came_so_far = killed(functools.partial(site.run, site.order(two, register=REGISTER), parts=parts), effects)
        if site.prefix.exists():
            found = without_marks(site.tree())
            assert found in (without_marks(old), without_marks(new)), effects
            seen.add("old" if found == without_marks(old) else "new")
        else:
            assert not exchange
            seen.add("between")
        finished(site, two, new)
        assert site.generations() == [f"0001-{one.manifest.content_id[:12]}"]
        kept = snapshot(site.store.path("generations", site.generations()[0]))
        kept.pop(GENERATION_MARKER)
        assert without_marks(kept) == without_marks(old)
        if not came_so_far:
            break
        shutil.rmtree(site.top)
        shutil.copytree(tmp_path / "before", site.top, symlinks=True)
        # Within staging one moment is like another.
        effects += 1 if effects >= 15 else 5
    assert effects > 30
    assert seen == {"old", "new"} | (set() if exchange else {"between"})


def test_a_first_deployment_that_is_killed_anywhere_leaves_nothing_or_all_and_is_finished(
    site: Site, one: TinyBundle
) -> None:
    site.present(one, register=REGISTER)
    whole = site.tree()
    site.run(site.order())
    effects, came_so_far = 0, True
    while came_so_far:
        parts = arrived(site, one)
        came_so_far = killed(functools.partial(site.run, site.order(one, register=REGISTER), parts=parts), effects)
        assert not site.prefix.exists() or without_marks(site.tree()) == without_marks(whole)
        finished(site, one, whole)
        site.run(site.order())
        assert os.listdir(site.envs) == []
        effects += 3


def test_a_removal_that_is_killed_anywhere_is_finished(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    effects, came_so_far = 0, True
    while came_so_far:
        site.present(one, register=REGISTER)
        site.present(two, register=REGISTER)
        whole = site.tree()
        came_so_far = killed(lambda: site.run(site.order()), effects)
        assert not site.prefix.exists() or without_marks(site.tree()) == without_marks(whole)
        site.run(site.order())
        assert os.listdir(site.envs) == []
        assert os.listdir(site.home / ".local/bin") == []
        site.assert_settled(site.order())
        effects += 5


def test_a_repair_that_is_killed_anywhere_is_finished(site: Site, one: TinyBundle) -> None:
    site.present(one, register=REGISTER)
    whole = site.tree()
    effects, came_so_far = 0, True
    while came_so_far:
        (site.prefix / "bin/tool").write_text("broken")
        parts = arrived(site, one)
        came_so_far = killed(functools.partial(site.run, site.order(one, register=REGISTER), parts=parts), effects)
        finished(site, one, whole)
        effects += 3


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (making, "parse_files"),
        (making, "renew_bytecode"),
        (making, "stat_index"),
        (acting, "sync"),
        (acting, "activate"),
        (acting, "settle"),
        (activating, "switch"),
        (activating, "bring_home"),
        (activating, "check_before"),
        (activating, "check_health"),
        (activating, "record_switch"),
        (Registrar, "apply"),
        (Store, "write_receipt"),
        (Store, "write_index"),
    ],
)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), DeployError("refused")])
def test_a_step_that_fails_leaves_old_or_new_and_the_next_run_finishes(
    site: Site,
    one: TinyBundle,
    two: TinyBundle,
    *,
    monkeypatch: pytest.MonkeyPatch,
    owner: t.Any,
    name: str,
    error: BaseException,
) -> None:
    site.present(two, register=REGISTER)
    new = site.tree()
    site.run(site.order())
    site.present(one, register=REGISTER)
    old = site.tree()
    parts = arrived(site, two)

    def fail(*_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
        raise error

    with monkeypatch.context() as patched:
        if name == "check_health":
            patched.setattr(activating, "check_before", no_view)
        patched.setattr(owner, name, fail)
        with pytest.raises(type(error)):
            site.run(site.order(two, register=REGISTER), parts=parts)
    assert without_marks(site.tree()) in (without_marks(old), without_marks(new))
    finished(site, two, new)


def test_what_an_interrupted_run_left_is_said(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    os.makedirs(os.path.join(site.store.staging, "half"))
    last = site.present(two)[0]
    assert last["environments"][0]["recovered"] == [f"what an interrupted deployment of {site.prefix} left was removed"]


def test_health_is_checked_after_an_interrupted_switch_too(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.present(one)
    monkeypatch.setattr(activating, "check_before", no_view)
    with monkeypatch.context() as patched:
        patched.setattr(
            activating, "check_health", lambda *_arguments: (never for never in "").throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            site.present(two, health={"commands": ["tool | grep '^1[.]0'"]})
    assert site.output() == f"2.0 at {site.prefix}\n"
    for _again in range(2):
        with pytest.raises(DeployError, match=r"^health: .* is live again, and what failed is kept for inspection at "):
            site.present(two, health={"commands": ["tool | grep '^1[.]0'"]})
        assert site.output() == f"1.0 at {site.prefix}\n"
    site.present(two, health={"commands": ["tool | grep '^2[.]0'"]})
    site.assert_settled(site.order(two))


def test_a_stream_that_nothing_awaits_any_more_is_removed(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    awaited = site.run(site.order(two))["awaited"][0]
    site.run(site.order(two), parts=[site.part(two.stream, awaited)])
    assert os.listdir(site.store.path("incoming", "")) != []
    assert not site.run(site.order(one))["changed"]
    site.assert_settled(site.order(one))
