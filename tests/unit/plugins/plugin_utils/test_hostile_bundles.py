# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damaged and hostile bundles, several hundreds: the controller or the host refuses each, in one line, untouched."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import acting, deployment
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Scope
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Shelf
from ansible_collections.airgap.conda.plugins.plugin_utils._sending import part_of
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.hostile import cases
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    make_bundle,
    snapshot,
    tool_members,
)

#: Bytes of memory that refusing any of them may take beyond what the tests have.
MEMORY = 700 << 20


class World(t.NamedTuple):
    """A host on which a generation is live, and two good bundles for it."""

    site: Site
    good: TinyBundle
    other: TinyBundle
    cache: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[World]:
    top = tmp_path_factory.mktemp("hostile")
    me = pwd.getpwuid(os.geteuid()).pw_name
    with pytest.MonkeyPatch.context() as patch:
        (top / "site").mkdir()
        site = Site(top / "site")
        patch.setattr(acting, "sync", lambda _path: None)
        patch.setattr(os, "fsync", lambda _descriptor: None)
        patch.setattr(deployment, "scope_of", lambda _order: Scope(False, str(site.home), {me: str(site.home)}))
        live = make_bundle(top / "live", tool_members("1.0"))
        good = make_bundle(top / "good", tool_members("2.0"), codec="gzip")
        other = make_bundle(top / "other", tool_members("3.0"), codec="gzip")
        site.present(live)
        yield World(site, good, other, str(top / "cache"))


def roll_out(bundle: Path, world: World) -> None:
    """Do what the controller and the module do, with real parts, until nothing is awaited."""
    found = Shelf(world.cache).bundle(str(bundle))
    order = {**world.site.order(world.good), "offers": {found.manifest.needs.platform: found.offer()}}
    result = world.site.run(order)
    while result["awaited"]:
        (awaited,) = result["awaited"]
        found.verify()
        stream = bytes(awaited["offset"]) + b"".join(part_of(found, awaited["offset"]))
        result = world.site.run(order, parts=[world.site.part(stream, awaited, len(stream))])


@contextlib.contextmanager
def bounded_memory() -> t.Iterator[None]:
    """Let what takes more memory than that fail."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_every_damaged_or_hostile_bundle_is_refused(
    world: World, tmp_path: Path, count: t.Callable[[str, int], None]
) -> None:
    site = world.site
    live, receipts = snapshot(site.prefix), os.listdir(site.store.path("receipts", ""))
    refused: t.Dict[str, str] = {}
    for number, (kind, change) in enumerate(cases(world.good, world.other).items()):
        bundle = Path(shutil.copytree(world.good.path, tmp_path / str(number)))
        change(bundle)
        # The module turns either into its one line.
        with bounded_memory(), pytest.raises((AirgapError, OSError)) as caught:
            roll_out(bundle, world)
            pytest.fail(f"{kind}: accepted")
        refused[kind] = str(caught.value)
        assert snapshot(site.prefix) == live, kind
        assert not os.path.lexists(site.store.staging), kind
        assert os.listdir(site.store.path("receipts", "")) == receipts, kind
        assert os.listdir(site.store.path("incoming", "")) == [], kind
        shutil.rmtree(bundle)
    assert {kind: said for kind, said in refused.items() if "\n" in said or not said} == {}
    assert len(refused) >= 200
    count("damaged and hostile bundles refused", len(refused))


def test_the_bundle_that_they_were_made_of_is_not_refused(world: World) -> None:
    roll_out(world.good.path, world)
    assert world.site.output() == f"2.0 at {world.site.prefix}\n"
