# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The reports of drift: JSON for programs, JUnit's XML for CI, and one page of HTML for people."""

from __future__ import annotations

import functools
import json
import os
import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import replace
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.findings import CLEAN, DRIFT, UNCHECKED, printable
from ansible_collections.airgap.conda.plugins.plugin_utils._drift import of_environment

Fields = t.Dict[str, t.Any]

_PAGE = os.path.join(os.path.dirname(__file__), "_drift_page.html")
_DATA = "@REPORT@"
#: Of one environment the page shows so many paths; the rest are in the JSON.
_SHOWN = 500


def write_reports(fleet: Fields, directory: str) -> dict[str, str]:
    """Write all reports of *fleet* to *directory*; return their paths by kind."""
    rendered = {"json": as_json(fleet), "xml": as_junit(fleet), "html": as_page(fleet)}
    written = {kind: os.path.join(directory, f"drift.{kind}") for kind in rendered}
    try:
        os.makedirs(directory, exist_ok=True)
        for kind, text in rendered.items():
            replace(written[kind], functools.partial(_write, text))
    except OSError as error:
        raise DeployError(f"{error.filename or directory}: the reports cannot be written: {error.strerror}") from None
    return written


def _write(text: str, path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def as_json(fleet: Fields) -> str:
    """Return the whole report for programs."""
    return json.dumps(fleet, indent=1) + "\n"


def as_junit(fleet: Fields) -> str:
    """Return the report for CI: a suite for each host, a case for each environment."""
    root = ET.Element("testsuites", {"name": "drift", **_numbers(fleet["environments_by_status"], fleet["hosts"])})
    for host in fleet["hosts"]:
        counted = {status: sum(row["status"] == status for row in host["environments"]) for status in _ALL}
        suite = ET.SubElement(root, "testsuite", {"name": host["host"], **_numbers(counted, [host])})
        if host["checked_at"]:
            suite.set("timestamp", host["checked_at"])
        if host["reason"]:
            _told(
                ET.SubElement(suite, "testcase", {"classname": host["host"], "name": "host"}),
                UNCHECKED,
                [host["reason"]],
            )
        for row in host["environments"]:
            about = {"classname": host["host"], "name": row["name"], "time": f"{row['seconds']:.3f}"}
            case = ET.SubElement(suite, "testcase", about)
            _told(case, row["status"], of_environment(row))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


_ALL = (DRIFT, UNCHECKED, CLEAN)
_ELEMENTS = {DRIFT: "failure", UNCHECKED: "error"}


def _numbers(counted: t.Mapping[str, int], hosts: t.Sequence[Fields]) -> dict[str, str]:
    unseen = sum(bool(host["reason"]) for host in hosts)
    errors = counted[UNCHECKED] + unseen
    return {"tests": str(sum(counted.values()) + unseen), "failures": str(counted[DRIFT]), "errors": str(errors)}


def _told(case: ET.Element, status: str, lines: t.Sequence[str]) -> None:
    if status in _ELEMENTS:
        said = [printable(line) for line in lines]
        ET.SubElement(case, _ELEMENTS[status], type=status, message=said[0] if said else status).text = "\n".join(said)


def as_page(fleet: Fields) -> str:
    """Return the report for people: one page that asks for nothing but itself."""
    with open(_PAGE, encoding="utf-8") as file:
        page = file.read()
    hosts = [{**host, "environments": [_shown(row) for row in host["environments"]]} for host in fleet["hosts"]]
    # What could end the element that holds it is spelled otherwise.
    data = json.dumps({**fleet, "hosts": hosts}, separators=(",", ":")).replace("<", "\\u003c")
    return page.replace(_DATA, data)


def _shown(row: Fields) -> Fields:
    counts = {part: len(row[part]) for part in ("findings", "benign", "unchecked")}
    return {**row, "counts": counts, **{part: row[part][:_SHOWN] for part in counts}}
