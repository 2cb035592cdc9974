# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import (
    acting,
    activating,
    deployment,
    making,
    quarantine,
    switching,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoders
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import recorded_switches
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import Registrar
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import unexpected_of, verify
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import stream_of
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.conftest import ME
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Fields, Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    end_of,
    make_bundle,
    snapshot,
    tool_members,
)


def test_the_whole_life_of_an_environment(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    assert site.output() == f"1.0 at {site.prefix}\n"
    site.assert_settled(site.order(one))
    old = site.tree()

    last = site.present(two)[-1]
    assert last["environments"][0]["generation"] == f"0002-{two.manifest.content_id[:12]}"
    assert site.output() == f"2.0 at {site.prefix}\n"
    assert site.generations() == [f"0001-{one.manifest.content_id[:12]}"]
    kept = snapshot(site.store.path("generations", site.generations()[0]))
    assert {path: state for path, state in kept.items() if path != GENERATION_MARKER} == old
    site.assert_settled(site.order(two))

    (site.prefix / "bin/tool").write_text("#!/bin/sh\necho broken\n")
    (site.prefix / "lib/libtool.so").unlink()
    results = site.present(two)
    assert results[0]["actions"] == [
        f"put back lib/libtool.so (missing) at {site.prefix}",
        f"put back bin/tool (modified) at {site.prefix}",
        f"link {site.home}/.local/bin/tool to {site.prefix}/bin/tool",
    ]
    assert site.output() == f"2.0 at {site.prefix}\n"
    assert site.generations() == [f"0001-{one.manifest.content_id[:12]}"]
    site.assert_settled(site.order(two))

    result = site.run(site.order())
    assert result["changed"]
    assert os.listdir(site.envs) == []
    assert not (site.home / ".local/bin/tool").is_symlink()
    site.assert_settled(site.order())


def test_the_first_execution_says_what_it_awaits(site: Site, one: TinyBundle) -> None:
    result = site.run(site.order(one))
    (awaited,) = result["awaited"]
    assert awaited == {
        "prefix": str(site.prefix),
        "stream": stream_of(one.pieces.values()),
        "offset": 0,
        "decoders": decoders(),
        "base": "",
        "held": {},
    }
    assert result["environments"][0]["content_id"] == ""
    assert not site.prefix.exists()


def test_what_was_sent_before_is_not_sent_again(site: Site, one: TinyBundle) -> None:
    first = site.run(site.order(one))
    site.run(site.order(one), parts=[site.part(one.stream, first["awaited"][0], 200)])
    assert site.run(site.order(one))["awaited"][0]["offset"] == 200


def test_check_mode_writes_nothing_and_says_the_same(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    for bundle in (one, two):
        before = snapshot(site.top), stat_index(str(site.top))
        predicted = site.run(site.order(bundle), check_mode=True)
        assert (snapshot(site.top), stat_index(str(site.top))) == before
        done = site.present(bundle)
        assert predicted["changed"] and predicted["actions"] == done[0]["actions"] == done[-1]["actions"]
    predicted = site.run(site.order(), check_mode=True)
    assert site.prefix.exists()
    assert predicted["actions"] == site.run(site.order())["actions"]


def test_packages_of_before_are_told_for_the_difference(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    assert site.present(one)[0]["environments"][0]["packages_before"] == []
    row = site.present(two)[0]["environments"][0]
    assert [package["version"] for package in row["packages_before"]] == ["1.0"]
    assert (row["wanted"], row["content_id"]) == (two.manifest.content_id, one.manifest.content_id)


def test_gzip_is_awaited_where_nothing_decodes_zstd(
    site: Site, tmp_path: Path, one: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "decoders", lambda: ["gzip"])
    first = site.run(site.order(one))
    site.run(site.order(one), parts=[site.part(one.stream, first["awaited"][0])])
    awaited = site.run(site.order(one))["awaited"][0]
    # What arrived of the other encoding is of no use.
    assert (awaited["offset"], awaited["decoders"]) == (0, ["gzip"])
    site.present(make_bundle(tmp_path / "gz", tool_members("1.0"), codec="gzip"))
    assert site.output() == f"1.0 at {site.prefix}\n"
    site.assert_settled(site.order(one))


# --- what is not ours -----------------------------------------------------------------------------------------------


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
        DeployError, match=r"added 1\.2 of conda \(3 files\), wheel_x 2\.0 of pip \(3 files\), share/notes;"
    ):
        site.run(site.order())


# --- what was there before ------------------------------------------------------------------------------------------


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


# --- how many are kept ----------------------------------------------------------------------------------------------


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


def test_a_command_of_someone_else_is_told_before_anything_is_done(site: Site, one: TinyBundle) -> None:
    (site.home / ".local/bin").mkdir(parents=True)
    (site.home / ".local/bin/tool").write_text("mine")
    with pytest.raises(DeployError, match=r"^ml: .*/tool exists and is not ours"):
        site.run(site.order(one))
    assert not site.store.exists


# --- what keeps a host from it --------------------------------------------------------------------------------------


def test_everything_against_every_environment_is_told_at_once(site: Site, tmp_path: Path, one: TinyBundle) -> None:
    unfit = make_bundle(tmp_path / "unfit", tool_members("3.0"), {"glibc": "99.1", "cuda": "99.2", "prefix_max": 5})
    (site.envs / "foreign").mkdir()
    with pytest.raises(DeployError) as caught:
        site.run(site.order(one), site.order(unfit, name="unfit"), site.order(one, name="foreign"))
    told = str(caught.value)
    assert all(
        word in told for word in ("glibc 99.1", "CUDA 99.2", "can carry 5 at most", "foreign exists and was not")
    )
    assert "\n" not in told
    assert not site.store.exists and not site.prefix.exists()


def test_a_bundle_for_another_platform_is_told(site: Site, tmp_path: Path, one: TinyBundle) -> None:
    foreign = [make_bundle(tmp_path / name, tool_members(name), {"platform": name}) for name in ("linux-0", "linux-1")]
    with pytest.raises(DeployError, match="this host is"):
        site.run(site.order(foreign[0]))
    with pytest.raises(DeployError, match=r"there is no bundle for .*, only for linux-0 or linux-1"):
        site.run(site.order(*foreign))
    assert site.run(site.order(foreign[0], one))["awaited"][0]["stream"] == stream_of(one.pieces.values())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_is_that_of_the_order_and_stays(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    def owners() -> set[tuple[int, int]]:
        paths = [site.prefix, *site.prefix.rglob("*")]
        return {(path.lstat().st_uid, path.lstat().st_gid) for path in paths}

    nobody = pwd.getpwnam("nobody")
    site.present(one)
    assert owners() == {(0, 0)}
    actions = site.present(one, owner="nobody", group="0")[0]["actions"]
    assert actions[0] == f"change the owner from 0:0 to {nobody.pw_uid}:0 at {site.prefix}"
    assert owners() == {(nobody.pw_uid, 0)}
    site.present(two)
    assert owners() == {(nobody.pw_uid, 0)}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"owner": "no-such-user"}, "env_deploy_owner names no-such-user, who has no account on this host"),
        ({"group": "no-such-group"}, "env_deploy_group names no-such-group, which is no group of this host"),
        ({"name": "../x"}, "cannot name an environment"),
    ],
)
def test_orders_that_no_host_can_carry_out_are_refused(
    site: Site, one: TinyBundle, fields: Fields, reason: str
) -> None:
    with pytest.raises(DeployError, match=reason):
        site.run(site.order(one, **fields))


# --- damage on the way and on the host ------------------------------------------------------------------------------


def test_a_damaged_archive_leaves_what_is_live_and_is_sent_again(
    site: Site, tmp_path: Path, one: TinyBundle, two: TinyBundle
) -> None:
    site.present(one)
    live = site.tree()
    good = two.archive.read_bytes()
    two.archive.write_bytes(good[:-100] + b"x" * 100)
    with pytest.raises(DeployError, match="the archive is damaged") as caught:
        site.present(two)
    assert "\n" not in str(caught.value)
    assert site.tree() == live
    assert os.listdir(site.store.path("incoming", "")) == []
    two.archive.write_bytes(good)
    site.present(two)
    assert site.output() == f"2.0 at {site.prefix}\n"
    site.assert_settled(site.order(two))


def test_a_file_list_of_other_content_is_refused(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    order = site.order(one)
    (offer,) = order["offers"].values()
    offer["pieces"]["files"] = two.offer["pieces"]["files"]
    stream = b"".join(
        (one.path / "manifest.json", two.path / "files.jsonl.gz", one.archive)[index].read_bytes() for index in range(3)
    )
    awaited = site.run(order)["awaited"][0]
    with pytest.raises(DeployError, match="the file list is not that of the content id"):
        site.run(order, parts=[site.part(stream, awaited, len(stream))])
    assert not site.prefix.exists()


def test_a_file_list_that_is_not_packed_is_refused(site: Site, one: TinyBundle) -> None:
    order = site.order(one)
    (offer,) = order["offers"].values()
    junk = b"no gzip"
    offer["pieces"]["files"] = {"file": "files", "size": len(junk), "sha256": hashlib.sha256(junk).hexdigest()}
    stream = (one.path / "manifest.json").read_bytes() + junk + one.archive.read_bytes()
    awaited = site.run(order)["awaited"][0]
    with pytest.raises(BundleError, match="the file list is damaged") as caught:
        site.run(order, parts=[site.part(stream, awaited, len(stream))])
    assert "\n" not in str(caught.value)


def test_a_part_that_nothing_awaits_is_refused(site: Site, one: TinyBundle) -> None:
    awaited = site.run(site.order(one))["awaited"][0]
    with pytest.raises(DeployError, match="nothing awaits the part for byte 5 that was sent; run again"):
        site.run(site.order(one), parts=[site.part(one.stream, {**awaited, "offset": 5})])


def test_a_damaged_receipt_is_told(site: Site, one: TinyBundle) -> None:
    site.present(one)
    path = Path(site.store.path("receipts", os.listdir(site.store.path("receipts", ""))[0]))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DeployError, match=r"the receipt is damaged \(.*\); remove the environment and deploy it again"):
        site.run(site.order(one))


@pytest.mark.parametrize("verify", ["receipt", "quick", "full"])
def test_damage_is_found_at_the_depth_that_is_asked_for(site: Site, one: TinyBundle, verify: str) -> None:
    site.present(one)
    (site.prefix / "bin/tool").write_text("broken")
    assert site.run(site.order(one, verify=verify), check_mode=True)["changed"] == (verify != "receipt")


# --- health ---------------------------------------------------------------------------------------------------------


def test_an_unhealthy_first_deployment_leaves_nothing_live(site: Site, one: TinyBundle) -> None:
    health = {"commands": ["echo it is; echo broken; exit 3"]}
    with pytest.raises(DeployError, match=r"^health: `echo it is; echo broken; exit 3` ended with 3: it is | broken$"):
        site.present(one, health=health)
    assert not site.prefix.exists()
    assert not (site.home / ".local/bin/tool").is_symlink()
    site.present(one)
    assert site.output() == f"1.0 at {site.prefix}\n"
    site.assert_settled(site.order(one))


def no_view(*_arguments: t.Any) -> bool:
    """Stands for what a host without rights to mount says; see test_view."""
    return False


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


# --- several environments -------------------------------------------------------------------------------------------


def test_two_environments_at_one_prefix_are_refused_at_once(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    with pytest.raises(DeployError, match=f"two environments of this host are at {site.prefix};"):
        site.run(site.order(one), site.order(two))
    assert not site.envs.exists() or os.listdir(site.envs) == []


def test_two_environments_that_want_one_place_otherwise_are_refused_at_once(site: Site, one: TinyBundle) -> None:
    orders = [site.order(one), site.order(one, envs_dir=str(site.top / "others"))]
    with pytest.raises(DeployError, match=rf"bin/tool is wanted by {site.prefix} and, otherwise, by .*/others/ml; "):
        site.run(*orders)
    assert not site.home.joinpath(".local").exists()


def test_environments_of_one_bundle_share_what_is_sent(site: Site, one: TinyBundle) -> None:
    orders = [site.order(one), site.order(one, name="other", register={"commands": []})]
    first = site.run(*orders)
    streams = [(awaited["stream"], awaited["offset"]) for awaited in first["awaited"]]
    assert len(streams) == 2 and streams[0] == streams[1]
    site.run(*orders, parts=[site.part(one.stream, first["awaited"][0], len(one.stream))])
    for name in ("ml", "other"):
        assert (site.envs / name / "bin/tool").exists()
    site.assert_settled(*orders)


def test_an_environment_that_is_absent_anyway_has_no_part_in_anothers_deployment(site: Site, one: TinyBundle) -> None:
    absent = site.order(name="gone", register={"commands": []})
    orders = [site.order(one), absent]
    result = site.run(*orders)
    while result["awaited"]:
        result = site.run(*orders, parts=[site.part(one.stream, result["awaited"][0])])
    assert [row["changed"] for row in result["environments"]] == [True, False]
    assert sorted(os.listdir(site.envs / ".airgap")) == ["ml"]
    assert result["environments"][1]["prefix"] == str(site.envs / "gone")
    site.assert_settled(*orders)


# --- registration ---------------------------------------------------------------------------------------------------


def test_registration_alone_is_put_and_taken_without_a_switch(site: Site, one: TinyBundle) -> None:
    site.present(one, register={"commands": []})
    generation = (site.prefix / GENERATION_MARKER).read_text()
    register = {"commands": ["tool"], "users": [ME], "frozen": True}
    (result,) = site.present(one, register=register)
    assert result["actions"] == [
        f"add {site.prefix} to {site.home}/.conda/environments.txt",
        f"link {site.home}/.local/bin/tool to {site.prefix}/bin/tool",
        f"write {site.prefix}/conda-meta/frozen",
        f"write {site.prefix}/lib/python3.11/EXTERNALLY-MANAGED",
    ]
    site.assert_settled(site.order(one, register=register))
    (result,) = site.present(one, register={"commands": []})
    assert len(result["actions"]) == 4
    assert not (site.prefix / "conda-meta/frozen").exists()
    assert (site.home / ".conda/environments.txt").read_text() == ""
    assert (site.prefix / GENERATION_MARKER).read_text() == generation
    site.assert_settled(site.order(one, register={"commands": []}))


def test_registration_goes_with_an_upgrade_and_with_the_environment(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    register = {"commands": ["tool"], "users": [ME], "frozen": True}
    site.present(one, register=register)
    site.present(two, register=register)
    assert (site.prefix / "conda-meta/frozen").exists()
    assert (site.prefix / "lib/python3.11/EXTERNALLY-MANAGED").exists()
    site.assert_settled(site.order(two, register=register))
    site.run(site.order())
    assert (site.home / ".conda/environments.txt").read_text() == ""
    assert os.listdir(site.home / ".local/bin") == []


# --- interruption ---------------------------------------------------------------------------------------------------

#: What puts names on disk or takes them off; a run may be killed before each of them.
EFFECTS = ("mkdir", "rename", "replace", "unlink", "rmdir", "symlink")

#: How a killed child ends.
KILLED = 99


def killed(work: t.Callable[[], object], effects: int) -> bool:
    """Do *work* in a child that dies before its effect of that number; return whether it came that far."""

    def counted() -> None:
        _count_effects(effects)
        work()

    code = end_of(counted)
    assert code in (0, KILLED)
    return code == KILLED


def _count_effects(left: int) -> None:
    def counted(effect: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*arguments: t.Any, **options: t.Any) -> t.Any:
            nonlocal left
            if not left:
                os._exit(KILLED)
            left -= 1
            return effect(*arguments, **options)

        return call

    for name in EFFECTS:
        setattr(os, name, counted(getattr(os, name)))
    switching.exchange = counted(switching.exchange)


REGISTER = {"commands": ["tool"], "users": [ME], "frozen": True}


def arrived(site: Site, bundle: TinyBundle) -> list[Fields]:
    """Return the part that makes what has arrived of *bundle* complete."""
    (awaited,) = site.run(site.order(bundle, register=REGISTER))["awaited"]
    return [site.part(bundle.stream, awaited, len(bundle.stream))]


def without_marks(tree: Fields) -> Fields:
    marks = ("conda-meta/frozen", "lib/python3.11/EXTERNALLY-MANAGED")
    return {path: state for path, state in tree.items() if not path.startswith(marks)}


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
        (acting, "_refresh_index"),
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


def test_packages_that_nobody_can_read_any_more_are_in_nobodys_way(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    site.present(one)
    (manifest,) = Path(site.store.path("manifests", "")).iterdir()
    manifest.write_text("{")
    assert site.present(two)[0]["environments"][0]["packages_before"] == []


def test_the_manifest_of_each_generation_is_kept(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    site.present(two)
    manifests = Path(site.store.path("manifests", ""))
    kept = [json.loads(path.read_text())["content_id"] for path in sorted(manifests.iterdir())]
    assert kept == [one.manifest.content_id, two.manifest.content_id]
