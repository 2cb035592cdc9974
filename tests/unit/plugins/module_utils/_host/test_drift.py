# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import json
import os
import pwd
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import drift
from ansible_collections.airgap.conda.plugins.module_utils._host.drift import inspect
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Scope
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Fields, Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import TinyBundle, snapshot

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture(autouse=True)
def _within_the_site(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = Scope(False, str(site.home), {ME: str(site.home)})
    monkeypatch.setattr(drift, "scope_of", lambda _order, _uid=None: scope)


def look(
    site: Site, *bundles: TinyBundle, may_write: bool = False, ignore: t.Sequence[str] = (), **fields: t.Any
) -> Fields:
    """Return what is said of the environment."""
    given = {"state": "present", "bytecode": None, **fields}
    found = inspect([site.order(*bundles, **given)], ignore, may_write, Progress())
    (row,) = found["environments"]
    assert found["status"] == row["status"]
    return t.cast(Fields, row)


def kinds(row: Fields) -> list[tuple[str, str]]:
    return [(finding["kind"], finding["path"]) for finding in row["findings"]]


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_whatever_was_done_with_it_a_deployment_is_clean(
    site: Site, one: TinyBundle, two: TinyBundle, mode: str
) -> None:
    site.present(one)
    assert look(site, one, verify=mode)["status"] == "clean"
    site.present(two)
    assert look(site, two, verify=mode)["status"] == "clean"
    site.back()
    assert look(site, one, verify=mode)["status"] == "clean"
    site.present(two, keep=1)
    assert look(site, two, verify=mode)["status"] == "clean"


def test_looking_changes_nothing_and_in_check_mode_writes_nothing(site: Site, one: TinyBundle) -> None:
    site.present(one)
    os.utime(site.prefix / "bin/tool")
    before = snapshot(site.top), stat_index(str(site.top))
    assert look(site, one, verify="full")["benign"] == [
        {"kind": "touched", "path": "bin/tool", "package": "", "detail": ""}
    ]
    assert (snapshot(site.top), stat_index(str(site.top))) == before
    trees = snapshot(site.prefix), stat_index(str(site.prefix))
    look(site, one, may_write=True)
    assert (snapshot(site.prefix), stat_index(str(site.prefix))) == trees
    assert look(site, one)["benign"] == []


def test_what_is_noted_hides_nothing(site: Site, one: TinyBundle) -> None:
    site.present(one)
    (site.prefix / "lib/own").unlink()
    (site.prefix / "notes").write_text("mine")
    for _again in range(3):
        assert kinds(look(site, one, may_write=True)) == [("missing", "lib/own"), ("unexpected", "notes")]


def test_nothing_or_something_unknown_or_unwanted_is_at_the_prefix(site: Site, one: TinyBundle) -> None:
    assert kinds(look(site, one)) == [("environment-absent", "")]
    assert look(site, state="absent")["status"] == "clean"
    site.prefix.mkdir()
    assert kinds(look(site, one)) == [("unknown-origin", "")]
    site.prefix.rmdir()
    site.present(one)
    assert kinds(look(site, state="absent")) == [("not-removed", "")]


def test_another_generation_or_setting_is_told(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    row = look(site, two, bytecode=True)
    assert kinds(row) == [("wrong-generation", ""), ("other-settings", "")]
    assert row["wanted"] == two.manifest.content_id and row["content_id"] == one.manifest.content_id
    assert [package["version"] for package in row["packages"]] == ["1.0"]


def test_what_an_interrupted_run_left_is_told(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    order = site.order(two)
    (awaited,) = site.run(order)["awaited"]
    site.run(order, parts=[site.part(two.stream, awaited)])
    assert kinds(look(site, one)) == [("interrupted", "")]


def test_registration_is_compared_with_what_is_asked_and_else_with_what_was_put(site: Site, one: TinyBundle) -> None:
    site.present(one)
    link = str(site.home / ".local/bin/tool")
    assert kinds(look(site, one, register={"commands": []})) == [("registration-surplus", link)]
    assert kinds(look(site, one, register={"commands": ["tool", "sh"]})) == [
        ("registration-missing", str(site.home / ".local/bin/sh"))
    ]
    Path(link).unlink()
    order = {**site.order(one, state="present", bytecode=None), "register": None}
    (row,) = inspect([order], (), False, Progress())["environments"]
    assert kinds(row) == [("registration-missing", link)]
    Path(link).symlink_to("/bin/sh")
    assert kinds(look(site, one)) == [("registration-altered", link)]
    assert look(site, one, ignore=[link])["status"] == "clean"


def test_what_is_at_work_or_damaged_or_newer_is_not_taken_for_clean(site: Site, one: TinyBundle) -> None:
    site.present(one)
    with open(os.path.join(site.store.root, "lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        row = look(site, one)
    assert (row["status"], kinds(row)) == ("unchecked", [])
    assert "another run works on" in row["unchecked"][0]["reason"]
    Path(site.store.format).write_text("99\n")
    assert "has format 99" in look(site, one)["unchecked"][0]["reason"]
    Path(site.store.format).unlink()
    live = site.store.live()
    assert live
    Path(site.store.path("receipts", live.generation)).write_text("garbage\n")
    assert "the receipt is damaged" in look(site, one)["unchecked"][0]["reason"]


def test_a_platform_without_a_bundle_is_compared_with_its_receipt_alone(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    site.present(one)
    (site.prefix / "bin/tool").unlink()
    offers = {"linux-s390x": one.offer, "linux-ppc64le": two.offer}
    row = look(site, one, offers=offers)
    assert kinds(row) == [("missing", "bin/tool")]
    assert "there is no bundle for" in row["unchecked"][0]["reason"]


def test_one_environment_that_cannot_be_looked_at_keeps_no_other_from_it(site: Site, one: TinyBundle) -> None:
    site.present(one)
    Path(site.store.format).write_text("99\n")
    orders = [site.order(one, bytecode=None), {**site.order(one, bytecode=None), "name": "other"}]
    found = inspect(orders, (), False, Progress())
    assert [row["status"] for row in found["environments"]] == ["unchecked", "drift"]
    assert found["status"] == "drift"


def test_findings_name_their_package_from_the_receipt_though_records_are_gone(site: Site, one: TinyBundle) -> None:
    site.present(one)
    (site.prefix / "conda-meta/tool-1.0-0.json").write_text(json.dumps({"files": [], "token": "s3cret"}))
    row = look(site, one)
    assert kinds(row) == [("conda-meta-edited", "conda-meta/tool-1.0-0.json")]
    assert row["findings"][0]["package"] == "tool"
    assert row["explanations"] == ["tool, edited: conda-meta/tool-1.0-0.json"]
    assert "s3cret" not in json.dumps(row)


def test_odd_names_are_told_in_characters(site: Site, one: TinyBundle) -> None:
    site.present(one)
    (site.prefix / "etc/caf\udce9").unlink()
    (site.prefix / "a\x1b[31m\nb").touch()
    row = look(site, one)
    assert kinds(row) == [("missing", "etc/caf\\udce9"), ("unexpected", "a\\x1b[31m\\nb")]
    assert row["explanations"] == ["missing: etc/caf\\udce9", "unexpected: a\\x1b[31m\\nb"]
