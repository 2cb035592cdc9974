# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook over a fleet: clean, drift and what could not be looked at are told apart, in exit code and reports."""

from __future__ import annotations

import json
import typing as t
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.ansible import Play
from world.browser import Browser
from world.controller import Controller, broken_promises
from world.fleet import Fleet

PREFIX = "/opt/conda/envs/tools"
SIX = "lib/python3.11/site-packages/six.py"


class Site:
    """A fleet with two environments on each host, as its inventory asks."""

    def __init__(self, controller: Controller, directory: Path, bundles: list[Path]) -> None:
        self._controller = controller
        self._reports = directory / "reports"
        listed = [{"bundle": str(bundles[0])}, {"bundle": str(bundles[1]), "register": {"commands": ["python3.11"]}}]
        self._asked = ("-e", json.dumps({"env_deploy_environments": listed, "env_deploy_bytecode": False}))

    def rollout(self) -> None:
        done = self._controller.run("rollout", *self._asked)
        assert done.rc == 0, done.output

    def drift(self, *arguments: str) -> Play:
        return self._controller.run("drift", *self._asked, "-e", "env_drift_report_dir=reports", *arguments)

    @property
    def report(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads((self._reports / "drift.json").read_text()))

    @property
    def junit(self) -> ET.Element:
        return ET.parse(self._reports / "drift.xml").getroot()

    @property
    def ghost(self) -> Path:
        """An inventory of a host that nobody reaches."""
        path = self._reports.with_name("ghost.yml")
        path.write_text("all: {hosts: {ghost: {ansible_host: 127.0.0.1, ansible_port: 9}}}\n")
        return path

    @property
    def page(self) -> Path:
        return self._reports / "drift.html"


@pytest.fixture
def site(fleet: Fleet, controller: Controller, tmp_path: Path, light: Path, tools: Path) -> Iterator[Site]:
    found = Site(controller, tmp_path, [light, tools])
    found.rollout()
    yield found
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda /usr/local/bin/python3.11")


def numbers(suites: ET.Element) -> tuple[str | None, ...]:
    return tuple(suites.get(name) for name in ("tests", "failures", "errors"))


FAIL = ("-e", "env_drift_action=fail")


def test_clean_drift_and_unreached_are_told_apart(fleet: Fleet, site: Site) -> None:
    clean = site.drift(*FAIL)
    assert clean.rc == 0 and clean.changed == 0, clean.output
    assert "3 hosts clean" in clean.output
    assert site.report["status"] == "clean"
    assert numbers(site.junit) == ("6", "0", "0")

    first, second, third = fleet.hosts
    first.run(f"echo '# x' >> {PREFIX}/{SIX}")
    ghost = ("-i", str(site.ghost))
    reported = site.drift(*ghost)
    # Who cannot be reached is never taken for clean.
    assert reported.rc == 4, reported.output
    assert f"{first.name}: tools: six: 1 of" in reported.output and "1 host could not be checked" in reported.output
    failed = site.drift(*FAIL, *ghost, "-v")
    # As Ansible has it: 4 outranks 2.
    assert failed.rc == 4, failed.output
    assert failed.recap[first.name]["failed"] == 1 and failed.recap["ghost"]["unreachable"] == 1
    assert f"{first.name}: tools: modified {SIX}" in failed.output
    report = site.report
    assert report["hosts_by_status"] == {"drift": 1, "unchecked": 1, "clean": 2}
    assert [host["host"] for host in report["hosts"]] == [first.name, "ghost", second.name, third.name]
    (finding,) = report["hosts"][0]["environments"][1]["findings"]
    assert (finding["kind"], finding["path"], finding["package"]) == ("modified", SIX, "six")
    assert numbers(site.junit) == ("7", "1", "1")
    with Browser() as browser:
        browser.open(site.page.as_uri())
        signs = browser.evaluate("[...document.querySelectorAll('tbody th')].map((each) => each.textContent.trim()[0])")
        assert signs == ["✕", "?", "✓", "✓"]

    only_drift = site.drift(*FAIL)
    assert only_drift.rc == 2, only_drift.output
    assert only_drift.recap[second.name]["failed"] == 0
    assert site.drift().rc == 0
    ignored = site.drift(*FAIL, "-e", json.dumps({"env_drift_ignore": ["*/six.py"]}))
    assert ignored.rc == 0 and "3 hosts clean" in ignored.output, ignored.output


def test_check_mode_looks_and_reports_the_same(fleet: Fleet, site: Site) -> None:
    fleet.hosts[1].run("rm /usr/local/bin/python3.11")
    checked = site.drift("--check", *FAIL)
    assert checked.rc == 2 and checked.changed == 0, checked.output
    assert "the link /usr/local/bin/python3.11 is missing" in checked.output
    assert site.report["hosts"][0]["host"] == fleet.hosts[1].name


REPAIR = ("-e", "env_drift_action=repair")
#: What is done to each host, in its small environment.
DAMAGE = (
    f"rm {SIX}; echo '# x' >> bin/pip; chmod o+w bin/python3.11; mkdir -p notes && echo mine > notes/of-me",
    "echo mine > only-this; ln -sfn /bin/sh bin/python; rm /usr/local/bin/python3.11",
    f"chmod u+s bin/python3.11; chown -R plain lib/python3.11/json; echo 'import os' > {SIX[: -len('six.py')]}zz.pth",
)


def test_what_differs_is_put_right_and_nothing_of_the_users_is_lost(fleet: Fleet, site: Site) -> None:
    for host, command in zip(fleet.hosts, DAMAGE, strict=True):
        host.run(f"cd {PREFIX} && {command}")
    checked = site.drift(*REPAIR, "--check")
    assert checked.rc == 0 and checked.changed == 3, checked.output
    assert site.report["hosts_by_status"]["drift"] == 3
    repaired = site.drift(*REPAIR)
    assert repaired.rc == 0 and repaired.changed == 3, repaired.output
    assert site.report["hosts_by_status"] == {"drift": 0, "unchecked": 0, "clean": 3}
    full = site.drift(*FAIL, "-e", "env_drift_mode=full")
    assert full.rc == 0, full.output
    for host in fleet.hosts:
        assert broken_promises(host, PREFIX) == {}
        host.run("/usr/local/bin/python3.11 -c 'import six, json'")
    quarantine = "cat /opt/conda/envs/.airgap/tools/quarantine/*"
    assert fleet.hosts[0].run(f"{quarantine}/notes/of-me").stdout == "mine\n"
    assert fleet.hosts[1].run(f"{quarantine}/only-this").stdout == "mine\n"
    again = site.drift(*REPAIR)
    assert again.rc == 0 and again.changed == 0, again.output


def test_a_repair_that_cannot_be_complete_says_so_and_changes_nothing(fleet: Fleet, site: Site) -> None:
    host = fleet.hosts[2]
    host.run(f"rm -r /opt/conda/envs/.airgap/tools; rm {PREFIX}/{SIX}; rm /opt/conda/envs/light/bin/pip")
    # What was seen intact may be noted anew in the store.
    trees = "find /opt/conda -path '*/.airgap' -prune -o -printf '%p %i %s %T@ %m\n' | sort | sha256sum"
    before = host.run(trees).stdout
    refused = site.drift(*REPAIR, "-l", host.name)
    assert refused.rc == 2 and "was not deployed by airgap.conda" in refused.output, refused.output
    assert host.run(trees).stdout == before
    kinds = {finding["kind"] for row in site.report["hosts"][0]["environments"] for finding in row["findings"]}
    assert kinds == {"unknown-origin", "missing"}
