# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import (
    deployment,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoders
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import stream_of
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.conftest import ME
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Fields, Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
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
        "lost": (),
        "held": {},
        "short": "",
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


def test_a_part_that_nothing_awaits_is_left_alone(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    (awaited,) = site.run(site.order(one))["awaited"]
    for wrong in ({**awaited, "offset": 5}, {**awaited, "stream": "f" * 64}):
        assert site.run(site.order(one), parts=[site.part(one.stream, wrong)])["awaited"] == [awaited]
    site.present(one)
    # Another run, or a guess of the controller's.
    again = site.run(site.order(one), parts=[site.part(one.stream, awaited)])
    assert not again["changed"] and again["awaited"] == []
    site.assert_settled(site.order(one))


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


def test_a_command_of_someone_else_is_told_before_anything_is_done(site: Site, one: TinyBundle) -> None:
    (site.home / ".local/bin").mkdir(parents=True)
    (site.home / ".local/bin/tool").write_text("mine")
    with pytest.raises(DeployError, match=r"^ml: .*/tool exists and is not ours"):
        site.run(site.order(one))
    assert not site.store.exists
