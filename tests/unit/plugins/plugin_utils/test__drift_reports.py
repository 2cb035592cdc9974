# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package
from ansible_collections.airgap.conda.plugins.plugin_utils._drift import (
    fleet_of,
    host_of,
    paths,
    sentences,
    with_package_changes,
)
from ansible_collections.airgap.conda.plugins.plugin_utils._drift_reports import (
    as_junit,
    as_page,
    write_reports,
)

Fields = t.Dict[str, t.Any]


def finding(kind: str, path: str = "", detail: str = "") -> Fields:
    return {"kind": kind, "path": path, "package": "", "detail": detail}


def row(name: str, *findings: Fields, unchecked: t.Sequence[str] = ()) -> Fields:
    return {
        "name": name,
        "status": "drift" if findings else "unchecked" if unchecked else "clean",
        "seconds": 0.25,
        "explanations": [f"{each['kind']} {each['path']}".strip() for each in findings],
        "findings": list(findings),
        "benign": [],
        "unchecked": [{"path": path, "reason": "Permission denied"} for path in unchecked],
    }


def result(*rows: Fields) -> Fields:
    found = [each["status"] for each in rows]
    status = next(each for each in ("drift", "unchecked", "clean") if each in found)
    return {"status": status, "checked_at": "2026-11-25T10:00:00Z", "environments": list(rows)}


UNREACHED = {"unreachable": True, "msg": "no route\n"}
RESULTS = {
    "clean": result(row("ml")),
    "gone": UNREACHED,
    "odd": result(row("ml", finding("unexpected", "notes"))),
    "partly": result(row("ml", unchecked=["etc"]), row("tools")),
    "worse": result(row("tools", finding("set-uid", "bin/x", "0755 → 4755")), row("ml", finding("missing", "a"))),
}


def test_the_worst_host_comes_first() -> None:
    fleet = fleet_of(RESULTS, "quick")
    assert [host["host"] for host in fleet["hosts"]] == ["worse", "odd", "gone", "partly", "clean"]
    assert [each["name"] for each in fleet["hosts"][0]["environments"]] == ["ml", "tools"]
    assert fleet["status"] == "drift"
    assert fleet["hosts_by_status"] == {"drift": 2, "unchecked": 2, "clean": 1}
    assert fleet["environments_by_status"] == {"drift": 3, "unchecked": 1, "clean": 2}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (UNREACHED, "no route"),
        ({"failed": True, "msg": "dist/x is not a bundle"}, "dist/x is not a bundle"),
        ({}, "it was not looked at"),
        ({"skipped": True}, "it was not looked at"),
    ],
)
def test_a_host_without_a_result_is_not_taken_for_clean(given: Fields, reason: str) -> None:
    host = host_of("h", given)
    assert (host["status"], host["reason"], host["environments"]) == ("unchecked", reason, [])
    assert sentences(host) == [reason]
    assert fleet_of({"h": given}, "full")["status"] == "unchecked"


def test_a_host_is_told_by_environment_and_with_paths_if_asked() -> None:
    assert sentences(host_of("worse", RESULTS["worse"])) == ["ml: missing a", "tools: set-uid bin/x"]
    assert paths(host_of("worse", RESULTS["worse"])) == ["ml: missing a", "tools: set-uid bin/x 0755 → 4755"]
    many = host_of("h", result(row("ml", unchecked=[str(number) for number in range(9)])))
    assert sentences(many)[0] == "ml: could not check 0: Permission denied"
    assert sentences(many)[-1] == "ml: and 4 more that could not be checked"


def test_junit_tells_the_three_apart() -> None:
    root = ET.fromstring(as_junit(fleet_of(RESULTS, "quick")))
    assert root.attrib == {"name": "drift", "tests": "7", "failures": "3", "errors": "2"}
    found = {
        (case.get("classname"), case.get("name")): [(each.tag, each.get("message")) for each in case]
        for case in root.iter("testcase")
    }
    assert found == {
        ("clean", "ml"): [],
        ("gone", "host"): [("error", "no route")],
        ("odd", "ml"): [("failure", "unexpected notes")],
        ("partly", "ml"): [("error", "could not check etc: Permission denied")],
        ("partly", "tools"): [],
        ("worse", "ml"): [("failure", "missing a")],
        ("worse", "tools"): [("failure", "set-uid bin/x")],
    }
    (suite,) = [suite for suite in root if suite.get("name") == "partly"]
    assert suite.attrib == {
        "name": "partly",
        "tests": "2",
        "failures": "0",
        "errors": "1",
        "timestamp": "2026-11-25T10:00:00Z",
    }


def test_whatever_a_name_holds_the_reports_can_be_read() -> None:
    hostile = "a\x00\x1b[31m</script><b>&\udce9"
    fleet = fleet_of({"h": result(row("ml", finding("unexpected", hostile)))}, "quick")
    assert ET.fromstring(as_junit(fleet)).find(".//failure") is not None
    page = as_page(fleet)
    data = page.partition('id="report">')[2].partition("</script>")[0]
    assert json.loads(data)["hosts"][0]["environments"][0]["findings"][0]["path"] == hostile
    page.encode("utf-8")


def test_the_page_names_the_first_findings_and_counts_all() -> None:
    fleet = fleet_of({"h": result(row("ml", *(finding("missing", str(n)) for n in range(2000))))}, "quick")
    data = json.loads(as_page(fleet).partition('id="report">')[2].partition("</script>")[0])
    (found,) = data["hosts"][0]["environments"]
    assert (len(found["findings"]), found["counts"]["findings"]) == (500, 2000)
    assert len(fleet["hosts"][0]["environments"][0]["findings"]) == 2000


def test_reports_are_written_whole_over_older_ones(tmp_path: Path) -> None:
    directory = str(tmp_path / "a/b")
    for _again in range(2):
        written = write_reports(fleet_of(RESULTS, "quick"), directory)
    assert sorted(os.listdir(directory)) == ["drift.html", "drift.json", "drift.xml"]
    assert set(written) == {"json", "xml", "html"}
    assert json.loads(Path(written["json"]).read_text())["format"] == 1


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeployError, match="reports cannot be written"):
        write_reports(fleet_of(RESULTS, "quick"), str(tmp_path / "file/reports"))


def test_another_generation_is_told_by_package() -> None:
    wrong = {**row("ml", finding("wrong-generation", "", "a is live")), "explanations": ["a is live", "other"]}
    wrong["packages"] = [Package("pandas", "1.5.2").to_json(), *(Package(f"p{n}", "1").to_json() for n in range(6))]
    with_package_changes(wrong, [Package("pandas", "1.5.3")])
    assert wrong["explanations"] == ["a is live: - p0 1, - p1 1, - p2 1, - p3 1, - p4 1 and 2 more", "other"]
    assert "packages" not in wrong
