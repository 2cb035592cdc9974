# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import activating, digesting, switching
from ansible_collections.airgap.conda.plugins.module_utils._host.inspecting import inspect
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import recorded_switches
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.conftest import ME
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.killing import killed
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Fields, Site, without_marks
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    file,
    make_bundle,
    snapshot,
    tool_members,
)

REGISTER = {"commands": ["tool"], "users": [ME], "frozen": True}


def name(number: int, bundle: TinyBundle) -> str:
    return f"{number:04d}-{bundle.manifest.content_id[:12]}"


def row(result: Fields) -> Fields:
    (found,) = result["environments"]
    return t.cast(Fields, found)


def assert_nothing_to_do(site: Site, to: str = "") -> None:
    before = snapshot(site.top)
    result = site.back(to)
    assert (result["changed"], result["actions"], row(result)["recovered"]) == (False, [], [])
    assert snapshot(site.top) == before


@pytest.fixture(params=["exchange", "renames"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of file system: one that exchanges, one that does not."""
    if request.param == "renames":
        monkeypatch.setattr(switching, "exchange", lambda _one, _other: False)
    return t.cast(str, request.param)


@pytest.mark.usefixtures("kind")
def test_the_last_rollout_is_taken_back_and_that_once(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one, register=REGISTER)
    first = site.tree()
    site.present(two, register=REGISTER, by="ada@controller")
    second = site.tree()
    result = site.back(by="bob@controller")
    assert result["actions"] == [f"replace generation {name(2, two)} by {name(1, one)} at {site.prefix}"]
    assert result["changed"] and row(result)["generation"] == name(1, one)
    assert site.output() == f"1.0 at {site.prefix}\n"
    assert site.tree() == first
    assert site.generations() == [name(2, two)]
    assert_nothing_to_do(site)
    assert_nothing_to_do(site, "1")
    site.assert_settled(site.order(one, register=REGISTER))
    # Forward again, and back.
    assert site.back("2")["changed"]
    assert site.tree() == second
    assert site.back()["changed"]
    assert site.tree() == first
    recorded = [(switch.how, switch.generation[:4], switch.by) for switch in recorded_switches(site.store)]
    assert recorded[:3] == [
        ("deploy", "0001", ""),
        ("deploy", "0002", "ada@controller"),
        ("rollback", "0001", "bob@controller"),
    ]


def test_check_mode_tells_and_does_nothing(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    site.present(two)
    before = snapshot(site.top)
    result = site.back(check_mode=True)
    assert result["changed"] and row(result)["generation"] == name(2, two)
    assert [package["name"] for package in row(result)["packages_after"]] == [
        package.name for package in one.manifest.packages
    ]
    assert snapshot(site.top) == before


@pytest.mark.parametrize("text", ["", "[]", '{"timeout": "long"}'])
def test_a_damaged_record_of_health_is_told(site: Site, one: TinyBundle, two: TinyBundle, text: str) -> None:
    site.present(one)
    site.present(two)
    Path(site.store.path("health", name(1, one))).write_text(text)
    with pytest.raises(BundleError, match=r"the record of health checks is damaged \(.*remove it by hand"):
        site.back()


def test_no_file_is_read_while_stats_agree(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.present(one)
    site.present(two)
    monkeypatch.setattr(digesting, "_digest", lambda _path: pytest.fail("a file was read"))
    for _again in range(2):
        assert site.back("1")["changed"]
        assert site.back("2")["changed"]


def test_registration_that_came_later_goes_with_it_and_what_went_does_not_come_back(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    site.present(one, register={"commands": [], "frozen": True})
    site.present(two, register={"commands": ["tool"]})
    site.back()
    assert not (site.prefix / "conda-meta/frozen").exists()
    assert site.output() == f"1.0 at {site.prefix}\n"
    site.assert_settled(site.order(one, register={"commands": ["tool"]}))


def test_a_program_that_came_later_is_offered_to_nobody_until_it_comes_back(
    site: Site, one: TinyBundle, tmp_path: Path
) -> None:
    site.present(one)
    newer = make_bundle(tmp_path / "newer", [*tool_members("2.0"), file("bin/late", b"#!/bin/sh\n", 0o755)])
    register = {"commands": ["tool", "late"]}
    site.present(newer, register=register)
    late = site.home / ".local/bin/late"
    assert late.exists()
    assert site.back()["changed"]
    assert site.output() == f"1.0 at {site.prefix}\n" and not os.path.lexists(late)
    assert_nothing_to_do(site)
    assert site.back("2")["changed"]
    assert late.exists()
    site.assert_settled(site.order(newer, register=register))


def test_damaged_files_are_named_and_nothing_is_switched(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    site.present(two)
    tree = Path(site.store.tree(name(1, one)))
    (tree / "bin/tool").write_text("broken")
    (tree / "lib/libtool.so").unlink()
    live = snapshot(site.prefix)
    for check_mode in (True, False):
        with pytest.raises(DeployError) as caught:
            site.back(check_mode=check_mode)
        assert str(caught.value) == (
            f"generation {name(1, one)} of {site.prefix} is damaged: bin/tool, lib/libtool.so; name the bundle of"
            f" {one.manifest.content_id[:12]} with env_rollback_bundle, or take it as it is with env_rollback_force"
        )
    assert snapshot(site.prefix) == live
    assert site.back(force=True)["changed"]
    assert (site.prefix / "bin/tool").read_text() == "broken"


def test_damaged_files_come_from_the_bundle(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one, register=REGISTER)
    first = site.tree()
    site.present(two, register=REGISTER)
    Path(site.store.tree(name(1, one)), "bin/tool").write_text("broken")
    assert site.back("", one, check_mode=True)["changed"]
    result = site.back("", one)
    while result["awaited"]:
        result = site.back("", one, parts=[site.part(one.stream, result["awaited"][0])])
    assert row(result)["generation"] == name(3, one)
    assert site.tree() == first
    assert recorded_switches(site.store)[-1].how == "rollback"
    assert_nothing_to_do(site)
    site.assert_settled(site.order(one, register=REGISTER))


def test_another_bundle_is_of_no_use(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    site.present(two)
    Path(site.store.tree(name(1, one)), "bin/tool").write_text("broken")
    with pytest.raises(DeployError, match="is damaged: bin/tool; name the bundle of"):
        site.back("", two)


@pytest.mark.parametrize("view", [True, False])
def test_what_is_not_healthy_any_more_does_not_stay_live(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch, view: bool
) -> None:
    if not view:
        monkeypatch.setattr(activating, "check_before", lambda *_arguments: False)
    healthy = site.top / "healthy"
    healthy.touch()
    # Each generation is checked as it was when it was deployed.
    site.present(one, health={"commands": [f"test -e {healthy}"]})
    site.present(two)
    healthy.unlink()
    live = snapshot(site.prefix)
    with pytest.raises(DeployError, match=r"^health: `test -e .*` ended with 1"):
        site.back()
    assert snapshot(site.prefix) == live
    assert site.store.failure(name(1, one)).startswith("health: ")
    with pytest.raises(DeployError, match="failed its health check; with env_rollback_force"):
        site.back("1")
    assert site.back("1", force=True)["changed"]
    assert site.output() == f"1.0 at {site.prefix}\n"


def test_nothing_is_switched_where_something_elses_is_at_the_prefix(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    site.present(one)
    site.present(two)
    site.prefix.rename(site.top / "moved")
    site.prefix.mkdir()
    (site.prefix / "theirs").touch()
    with pytest.raises(DeployError, match="exists and is no generation of airgap"):
        site.back("1")
    assert os.listdir(site.prefix) == ["theirs"]


def test_what_was_removed_by_hand_comes_back(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    site.present(two)
    site.prefix.rename(site.top / "moved")
    assert site.back("1")["changed"]
    assert site.output() == f"1.0 at {site.prefix}\n"


def test_an_environment_without_a_store_is_told_and_none_is_made(site: Site) -> None:
    with pytest.raises(DeployError, match="has no generation of airgap"):
        site.back()
    assert os.listdir(site.envs) == []


@pytest.mark.usefixtures("kind")
def test_a_rollback_that_is_killed_anywhere_is_finished(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    trees = {}
    for to, bundle in (("1", one), ("2", two)):
        site.present(bundle, register=REGISTER)
        trees[to] = site.tree()
    expected = [without_marks(tree) for tree in trees.values()]
    effects, came_so_far = 0, True
    while came_so_far:
        to = "1" if site.tree() == trees["2"] else "2"
        came_so_far = killed(functools.partial(site.back, to), effects)
        # Without exchange there is a moment when nothing is at the prefix; the next run ends it.
        assert not site.prefix.exists() or without_marks(site.tree()) in expected, effects
        site.back(to)
        assert site.tree() == trees[to], effects
        assert_nothing_to_do(site, to)
        effects += 1
    assert effects > 8


def test_half_a_file_of_a_killed_run_is_removed_and_told(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    site.present(two)
    site.back()
    half = site.store.path("index", f"{name(2, two)}.new")
    Path(half).touch()
    assert row(site.back())["recovered"] == [f"{half}, which an interrupted run had not finished, was removed"]
    assert_nothing_to_do(site)
    Path(half).touch()
    assert site.run(site.order(one))["environments"][0]["recovered"] != []
    site.assert_settled(site.order(one))


# --- what env_info tells --------------------------------------------------------------------------------------------


def test_generations_are_told(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one, by="ada@controller")
    site.present(two, by="ada@controller")
    site.back(by="bob@controller")
    (told,) = inspect([str(site.envs)], ())
    assert (told["name"], told["prefix"], told["generation"]) == ("ml", str(site.prefix), name(1, one))
    first, second = told["generations"]
    assert (first["generation"], first["live"], first["by"], first["bundle"]) == (
        name(1, one),
        True,
        "ada@controller",
        one.manifest.label,
    )
    assert (second["live"], second["failure"], second["packed"]) == (False, "", two.manifest.created)
    size = sum(path.stat().st_size for path in site.prefix.rglob("*") if path.is_file() and not path.is_symlink())
    links = sum(path.lstat().st_size for path in site.prefix.rglob("*") if path.is_symlink())
    assert first["size_own"] + first["size_shared"] == size + links
    assert [switch["how"] for switch in told["switches"]] == ["deploy", "deploy", "rollback"]
    assert told["processes"] == []
    assert inspect([str(site.envs)], ["other"]) == []
    assert inspect([str(site.top / "none")], ()) == []


def test_a_relative_directory_is_refused() -> None:
    with pytest.raises(DeployError, match="envs_dirs must be absolute paths of the host, not 'envs'"):
        inspect(["envs"], ())
