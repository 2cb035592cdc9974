# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Drift of a fleet: what was found on each host, brought together as data, and what is said of it."""

from __future__ import annotations

import collections
import time
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.findings import (
    CLEAN,
    DRIFT,
    KINDS,
    UNCHECKED,
    status_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package, package_diff

Fields = t.Dict[str, t.Any]

#: Of the report; programs read it.
FORMAT = 1
#: How many packages a sentence names.
NAMED = 5
#: The worst first.
_STATUSES = (DRIFT, UNCHECKED, CLEAN)


def with_package_changes(row: Fields, wanted: t.Iterable[Package]) -> None:
    """Say of an environment of another generation how its packages differ from those that are *wanted*."""
    live = [Package.from_json(package) for package in row.pop("packages", ())]
    changes = package_diff(live, wanted).actions if live else ()
    if not changes:
        return
    more = f" and {len(changes) - NAMED} more" if len(changes) > NAMED else ""
    said = f": {', '.join(changes[:NAMED])}{more}"
    for finding in row["findings"]:
        if finding["kind"] == "wrong-generation":
            row["explanations"] = [text + said if text == finding["detail"] else text for text in row["explanations"]]


def host_of(name: str, result: t.Mapping[str, t.Any]) -> Fields:
    """Return what the report says of one host, whose task had that *result*."""
    environments = result.get("environments")
    if result.get("unreachable") or result.get("failed") or environments is None:
        reason = str(result.get("msg") or "it was not looked at").strip()
        return {"host": name, "status": UNCHECKED, "reason": reason, "checked_at": "", "environments": []}
    rows = sorted(environments, key=lambda row: row["name"])
    return {
        "host": name,
        "status": result["status"],
        "reason": "",
        "checked_at": result["checked_at"],
        "environments": [{**row, "weight": _weight(row)} for row in rows],
    }


def _weight(row: Fields) -> int:
    return max((KINDS[finding["kind"]].weight for finding in row["findings"]), default=0)


def fleet_of(results: t.Mapping[str, t.Mapping[str, t.Any]], mode: str) -> Fields:
    """Return the report of a fleet: the worst host first."""
    hosts = sorted((host_of(*each) for each in results.items()), key=_badness)
    statuses = [host["status"] for host in hosts]
    environments = [row["status"] for host in hosts for row in host["environments"]]
    return {
        "format": FORMAT,
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "mode": mode,
        "status": status_of(DRIFT in statuses, UNCHECKED in statuses),
        "hosts_by_status": _counted(statuses),
        "environments_by_status": _counted(environments),
        "kinds": {kind.name: {"words": kind.words, "weight": kind.weight} for kind in KINDS.values()},
        "hosts": hosts,
    }


def _badness(host: Fields) -> tuple[int, int, int, str]:
    weights = [row["weight"] for row in host["environments"]]
    findings = sum(len(row["findings"]) for row in host["environments"])
    return (_STATUSES.index(host["status"]), -max(weights, default=0), -findings, host["host"])


def _counted(statuses: t.Iterable[str]) -> dict[str, int]:
    counted = collections.Counter(statuses)
    return {status: counted[status] for status in _STATUSES}


def sentences(host: Fields) -> list[str]:
    """Return what is said of one host, a line each."""
    if host["reason"]:
        return [host["reason"]]
    return [f"{row['name']}: {text}" for row in host["environments"] for text in of_environment(row)]


def of_environment(row: Fields) -> list[str]:
    """Return what is said of one environment: what differs, then what could not be looked at."""
    unchecked = [
        f"could not check {each['path']}: {each['reason']}" if each["path"] else f"could not check: {each['reason']}"
        for each in row["unchecked"]
    ]
    more = [f"and {len(unchecked) - NAMED} more that could not be checked"] if len(unchecked) > NAMED else []
    return [*row["explanations"], *unchecked[:NAMED], *more]


def paths(host: Fields) -> list[str]:
    """Return every finding of one host, a line each."""
    return [
        " ".join(filter(None, (f"{row['name']}:", finding["kind"], finding["path"], finding["detail"])))
        for row in host["environments"]
        for finding in row["findings"]
    ]
