# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift of a fleet larger than any this machine can run: what its hosts would say, and the reports of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.airgap.conda.plugins.plugin_utils._drift import fleet_of
from ansible_collections.airgap.conda.plugins.plugin_utils._drift_reports import as_page, write_reports

NAMES = ("notebooks", "science", "tools", "web_api")
SITE = "lib/python3.11/site-packages"

Fields = dict[str, Any]


def _finding(kind: str, path: str, package: str = "", detail: str = "") -> Fields:
    return {"kind": kind, "path": path, "package": package, "detail": detail}


#: What environments may have, as findings, explanations and what could not be checked.
CONDITIONS: tuple[tuple[list[Fields], list[str], list[Fields]], ...] = (
    (
        [_finding("modified", f"{SITE}/requests/{number}.py", "requests") for number in range(14)],
        ["requests 2.31.0 → 2.32.3, installed by pip on the host (14 files)"],
        [],
    ),
    ([_finding("modified", f"{SITE}/numpy/core/_methods.py", "numpy")], ["numpy: 1 of 812 files modified"], []),
    (
        [_finding("set-uid", "bin/python3.11", "python", "0755 → 4755"), _finding("start-code", f"{SITE}/zz.pth")],
        ["python, set-uid or set-gid: bin/python3.11 (0755 → 4755)", f"code that runs at start: {SITE}/zz.pth"],
        [],
    ),
    (
        [_finding("wrong-generation", "", "", "8a9e07301864 is live, the inventory asks for 0123456789ab")],
        ["8a9e07301864 is live, the inventory asks for 0123456789ab: pandas 1.5.2 → 1.5.3"],
        [],
    ),
    ([], [], [{"path": "etc/private", "reason": "Permission denied"}]),
    (
        [_finding("unexpected", f"{SITE}/torch/lib/{number}.so", "torch") for number in range(900)],
        ["unexpected package torch 2.1.0, installed by pip on the host (900 files)"],
        [],
    ),
)


def _environment(name: str, draw: int) -> Fields:
    """One environment; most are clean."""
    findings, explanations, unchecked = CONDITIONS[draw // 8] if draw % 8 == 0 and draw < 48 else ([], [], [])
    return {
        "name": name,
        "prefix": f"/opt/conda/envs/{name}",
        "status": "drift" if findings else "unchecked" if unchecked else "clean",
        "generation": "0003-8a9e07301864",
        "content_id": "8a9e07301864" + "0" * 52,
        "wanted": "8a9e07301864" + "0" * 52,
        "deployed_at": "2026-11-20T09:14:00Z",
        "seconds": 0.21,
        "explanations": explanations,
        "findings": findings,
        "benign": [_finding("bytecode", f"{SITE}/__pycache__/six.cpython-311.pyc")],
        "unchecked": unchecked,
    }


def _result(number: int, environments: int) -> Fields:
    if number % 83 == 7:
        return {"unreachable": True, "msg": "Failed to connect to the host via ssh: Connection timed out"}
    rows = [_environment(name, (number * 31 + at * 17) % 97) for at, name in enumerate(NAMES[:environments])]
    found = {row["status"] for row in rows}
    status = next(each for each in ("drift", "unchecked", "clean") if each in found)
    return {"status": status, "checked_at": "2026-11-25T14:20:05Z", "environments": rows}


def fleet(hosts: int, environments: int = 4) -> Fields:
    """What is found on so many hosts; the same each time."""
    return fleet_of({f"node{number:03}": _result(number, environments) for number in range(hosts)}, "quick")


def write(directory: Path, hosts: int, environments: int = 4) -> Path:
    """Write all reports; return the page."""
    return Path(write_reports(fleet(hosts, environments), str(directory))["html"])


def write_page(found: Fields, directory: Path) -> Path:
    """Write the page of what was found."""
    path = directory / "drift.html"
    path.write_text(as_page(found))
    return path
