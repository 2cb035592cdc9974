# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores that earlier collections wrote, see fixtures/make_store.py, and one of a later collection."""

from __future__ import annotations

import json
import os
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import Registrar
from ansible_collections.airgap.conda.plugins.module_utils._host.store import FORMAT, Store
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Scope
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Fields, Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    make_bundle,
    snapshot,
    tool_members,
)

FIXTURES = Path(__file__).parents[3] / "fixtures"
MADE_AT = "/tmp/airgap-conda-site"
#: Files that name the site and have no digest in a receipt.
NAMING = ("frozen", "EXTERNALLY-MANAGED", "registration.json")


def unpack(archive: Path, top: Path) -> None:
    """Make the host of *archive* at *top*, as if it had been made there, by this user."""
    with tarfile.open(archive) as packed:
        packed.extractall(top, filter="tar")
    for path in list(top.rglob("*")):
        if path.is_symlink():
            target = os.readlink(path)
            path.unlink()
            path.symlink_to(target.replace(MADE_AT, str(top)))
        elif path.parent.name == "receipts":
            head, *rows = map(json.loads, path.read_text().replace(MADE_AT, str(top)).splitlines())
            owner = [os.geteuid(), os.getegid()]
            lines = [{**head, "uid": owner[0], "gid": owner[1]}, *([*row[:5], *owner, *row[7:]] for row in rows)]
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        elif path.name in NAMING:
            path.write_text(path.read_text().replace(MADE_AT, str(top)))


@pytest.fixture(params=range(1, FORMAT + 1))
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    top = tmp_path / "site"
    top.mkdir()
    site = Site(top)
    unpack(FIXTURES / f"store-{request.param}.tar", top)
    monkeypatch.setattr(deployment, "scope_of", lambda _order: Scope(False, str(site.home), {}))
    return site


@pytest.fixture
def order(site: Site, tmp_path: Path) -> Fields:
    """What is live there, whatever today's code makes of the same members."""
    order = site.order(make_bundle(tmp_path / "2.0", tool_members("2.0")), register={"frozen": True})
    (offer,) = order["offers"].values()
    header = site.store.live()
    assert header
    offer["content_id"] = header.content_id
    return order


def test_what_is_live_is_as_it_was_deployed(site: Site, order: Fields) -> None:
    before = snapshot(site.top)
    checked = site.run(order, check_mode=True)
    assert (checked["changed"], checked["actions"], checked["awaited"]) == (False, [], [])
    assert snapshot(site.top) == before
    # Inodes and times are others than in its index: all is read once, and noted.
    ran = site.run(order)
    assert (ran["changed"], ran["actions"], ran["awaited"]) == (False, [], [])
    site.assert_settled(order)
    header = site.store.live()
    assert header and header.generation.startswith("0002-") and header.prefix == str(site.prefix)
    (old,) = site.generations()
    assert site.store.header(old).generation == old and site.store.receipt(old).items


def test_damage_is_found(site: Site, order: Fields) -> None:
    (site.prefix / "bin/tool").write_text("changed")
    assert site.run(order, check_mode=True)["changed"]


def test_it_is_upgraded(site: Site, tmp_path: Path) -> None:
    site.present(make_bundle(tmp_path / "3.0", tool_members("3.0")), register={"frozen": True})
    assert site.output() == f"3.0 at {site.prefix}\n"
    assert [name[:4] for name in site.generations()] == ["0002"]


def test_it_is_removed_with_all_that_registered_it(site: Site) -> None:
    assert site.run(site.order())["changed"]
    assert [path for path in site.top.rglob("*") if not path.is_dir() or path.is_symlink()] == []
    assert os.listdir(site.envs) == []


# --- newer ones -----------------------------------------------------------------------------------------------------


def newer(store: Store) -> str:
    Path(store.format).write_text(f"{FORMAT + 1}\n")
    formats = f"format {FORMAT + 1}, this collection reads up to {FORMAT}"
    return f"the store {store.root} has {formats}; upgrade airgap.conda here"


def test_a_newer_store_is_refused_and_left_alone(site: Site, order: Fields) -> None:
    expected = newer(site.store)
    before = snapshot(site.top)
    for each in (order, site.order()):
        for check_mode in (True, False):
            with pytest.raises(DeployError) as caught:
                site.run(each, check_mode=check_mode)
            assert str(caught.value) == expected
    assert snapshot(site.top) == before


def test_a_store_that_became_newer_while_its_lock_was_awaited_is_refused(site: Site) -> None:
    expected = newer(site.store)
    with pytest.raises(BundleError) as caught, site.store.locked():
        pass
    assert str(caught.value) == expected


@pytest.mark.parametrize("text", ["", "x\n", "0\n", "-1\n", "1.5\n", "\u00b2\n"])
def test_a_damaged_number_is_told(site: Site, text: str) -> None:
    Path(site.store.format).write_text(text)
    with pytest.raises(BundleError, match="format is damaged; remove it by hand and run again"):
        site.store.live()


def test_a_store_without_a_number_is_of_the_first_format(site: Site, order: Fields) -> None:
    os.unlink(site.store.format)
    assert not site.run(order, check_mode=True)["changed"]
    with site.store.locked():
        pass
    assert Path(site.store.format).read_text() == f"{FORMAT}\n"


def test_marks_that_a_newer_neighbour_may_need_stay(site: Site) -> None:
    newer(Store(str(site.envs), "ml"))
    with Store(str(site.envs), "other").locked():
        registrar = Registrar(Store(str(site.envs), "other"))
    (mark,) = [each for each in Registrar(site.store).recorded() if each.kind == "link"]
    registrar.take(mark)
    assert os.path.lexists(mark.path)


def test_a_newer_bundle_is_refused_before_its_list_is_read(tmp_path: Path) -> None:
    from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Shelf

    bundle = make_bundle(tmp_path / "b", tool_members("1.0"))
    manifest = bundle.path / "manifest.json"
    fields: dict[str, t.Any] = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**fields, "format": fields["format"] + 1}))
    (bundle.path / "files.jsonl.gz").write_bytes(b"of another format")
    with pytest.raises(BundleError, match="has format 2, this collection reads up to 1; upgrade airgap"):
        Shelf(str(tmp_path / "cache")).bundle(str(bundle.path))
