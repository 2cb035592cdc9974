# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What airgap.conda did not deploy: left as it is, or moved aside, and never lost."""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import (
    quarantine,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import unexpected_of
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    make_bundle,
    snapshot,
    tool_members,
)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: (path / "conda-meta").mkdir(parents=True),
        lambda path: path.write_text("file"),
        lambda path: path.symlink_to("/nonexistent"),
        lambda path: (
            (path / "conda-meta").mkdir(parents=True),
            (path / GENERATION_MARKER).write_text("0001-0123456789ab"),
        ),
    ],
)
def test_a_prefix_of_someone_else_is_left_as_it_is(
    site: Site, one: TinyBundle, make: t.Callable[[Path], object]
) -> None:
    make(site.prefix)
    before = snapshot(site.top)
    with pytest.raises(DeployError, match=r"exists and was not deployed by airgap\.conda; it is left as it is"):
        site.run(site.order(one))
    with pytest.raises(DeployError, match=r"has no receipt of airgap\.conda, so it is not removed"):
        site.run(site.order())
    assert snapshot(site.top) == before


@pytest.mark.parametrize("verify", ["receipt", "quick", "full"])
def test_files_of_someone_else_refuse_removal_and_upgrade_at_any_depth(
    site: Site, one: TinyBundle, two: TinyBundle, verify: str
) -> None:
    site.present(one)
    (site.prefix / "lib/mine").write_text("mine")
    for _again in range(2):
        # A run in between must not make them ours.
        result = site.run(site.order(one))
        assert result["environments"][0]["unexpected"] == ["lib/mine"]
    with pytest.raises(DeployError, match=r"holds files that airgap\.conda did not deploy: lib/mine;"):
        site.run(site.order(verify=verify))
    with pytest.raises(DeployError, match=r"holds files that airgap\.conda did not deploy: lib/mine;"):
        site.run(site.order(two, verify=verify))
    assert (site.prefix / "lib/mine").read_text() == "mine"
    (site.prefix / "lib/mine").unlink()
    site.run(site.order(verify=verify))
    assert not site.prefix.exists()


def test_what_no_bundle_brought_is_removed_if_asked_and_what_was_kept_stays(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    site.present(one)
    (site.prefix / "lib/kept").write_text("kept")
    site.present(two, on_unexpected="keep")
    for wanted in (two, one, None):
        (site.prefix / "lib/mine").mkdir()
        (site.prefix / "lib/mine/data").write_text("mine")
        if wanted:
            site.present(wanted, on_unexpected="remove")
            site.assert_settled(site.order(wanted))
        else:
            site.run(site.order(on_unexpected="remove"))
        assert [path.read_text() for path in site.envs.rglob("*") if path.name in ("data", "kept")] == ["kept"]
    site.present(one)
    (site.prefix / "mine").write_text("mine")
    shutil.rmtree(site.store.quarantine)
    site.present(one, on_unexpected="remove")
    assert not os.path.exists(site.store.quarantine)


def test_files_of_someone_else_refuse_an_upgrade_or_repair_or_are_kept_aside(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    def mine(text: str) -> None:
        (site.prefix / "lib/mine").mkdir(mode=0o750)
        (site.prefix / "lib/mine/data").write_text(text)

    site.present(one)
    mine("one")
    (site.prefix / "bin/tool").unlink()
    for bundle in (one, two):
        for check_mode in (True, False):
            with pytest.raises(DeployError, match=r"did not deploy: lib/mine/data; nothing was changed"):
                site.run(site.order(bundle), check_mode=check_mode)
    result = site.present(one, on_unexpected="keep")[0]
    assert f"keep aside what airgap.conda did not deploy at {site.prefix}: lib/mine/data" in result["actions"]
    mine("two")
    site.present(two, on_unexpected="keep")
    quarantine = Path(site.store.quarantine)
    kept = {path.relative_to(quarantine): path.read_text() for path in quarantine.rglob("data")}
    assert sorted(kept.values()) == ["one", "two"]
    assert {path.parent.stat().st_mode & 0o777 for path in quarantine.rglob("data")} == {0o750}
    assert not (site.prefix / "lib/mine").exists()
    site.assert_settled(site.order(two))
    mine("three")
    result = site.run(site.order(on_unexpected="keep"))
    assert result["changed"] and not site.prefix.exists()
    assert sorted(path.read_text() for path in quarantine.rglob("data")) == ["one", "three", "two"]
    assert os.listdir(site.store.root) == ["quarantine"]
    site.assert_settled(site.order())
    # Somebody takes it, and puts the next one where nothing is lost either.
    site.present(one)
    shutil.rmtree(quarantine)
    site.run(site.order())
    assert os.listdir(site.envs) == []


def test_files_in_a_generation_that_goes_are_kept_aside_whoever_put_them_there(
    site: Site, tmp_path: Path, one: TinyBundle, two: TinyBundle
) -> None:
    site.present(one)
    site.present(two)
    (kept,) = site.generations()
    (Path(site.store.tree(kept)) / "notes").write_text("from inspecting it")
    site.present(make_bundle(tmp_path / "3.0", tool_members("3.0")))
    assert (Path(site.store.quarantine) / kept / "notes").read_text() == "from inspecting it"


def test_links_planted_in_the_tree_move_nothing_from_elsewhere(
    site: Site, one: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of a tree may swap a directory for a link while root moves what is in it."""
    elsewhere = site.top / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "data").write_text("root's")
    site.present(one)
    (site.prefix / "mine").mkdir()
    (site.prefix / "mine/data").write_text("mine")
    real = unexpected_of

    def raced(*arguments: t.Any) -> t.List[str]:
        (live,) = Path(site.store.path("generations", "")).glob("*/mine")
        live.rename(live.with_name("away"))
        live.symlink_to(elsewhere)
        return real(*arguments)

    monkeypatch.setattr(quarantine, "unexpected_of", raced)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        site.run(site.order(on_unexpected="keep"))
    assert (elsewhere / "data").read_text() == "root's"


def test_what_lies_where_records_do_is_not_waited_for(site: Site, one: TinyBundle) -> None:
    site.present(one)
    os.mkfifo(site.prefix / "conda-meta/added-1.2-h0_3.json")
    (site.prefix / "conda-meta/linked-1.0-0.json").symlink_to("/proc/kmsg")
    with pytest.raises(DeployError, match=r"added 1\.2 of conda \(1 file\), linked 1\.0 of conda \(1 file\);"):
        site.run(site.order())


def test_which_package_brought_them_is_told(site: Site, one: TinyBundle) -> None:
    site.present(one)
    files = {
        "conda-meta/added-1.2-h0_3.json": json.dumps({"files": ["bin/added", "share/added"]}),
        "bin/added": "",
        "share/added": "",
        "lib/python3.11/site-packages/wheel_x-2.0.dist-info/RECORD": "wheel_x.py,,\n../../../bin/wheel,,\n",
        "lib/python3.11/site-packages/wheel_x.py": "",
        "bin/wheel": "",
        "share/notes": "",
    }
    for path, text in files.items():
        (site.prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (site.prefix / path).write_text(text)
    with pytest.raises(
        DeployError, match=r"added 1\.2 of conda \(3 files\), wheel-x 2\.0 of pip \(3 files\), share/notes;"
    ):
        site.run(site.order())
