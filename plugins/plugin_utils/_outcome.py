# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The outcome of a task that took several executions of its module: rows merged, differences shown by package."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package, package_diff

Fields = t.Dict[str, t.Any]
PackagesById = t.Mapping[str, t.Sequence[Package]]


class Outcome:
    """What all executions did together, environment by environment."""

    def __init__(self) -> None:
        self.rows: list[Fields] = []
        #: By prefix, what the host said that it decodes.
        self.decoders: dict[str, list[str]] = {}

    def add(self, result: Fields) -> None:
        """Take in the result of one more execution."""
        self.rows = self.rows or [
            {"actions": [], "recovered": [], "packages_before": []} for _row in result["environments"]
        ]
        self.rows = [merged(*rows) for rows in zip(self.rows, result["environments"])]
        self.decoders.update((each["prefix"], each["decoders"]) for each in result["awaited"])

    def result(self, bundles: t.Sequence[PackagesById], show_diff: bool) -> Fields:
        """Return the task's result; *bundles*: of each environment the packages by content id."""
        result: Fields = {
            "changed": any(row["actions"] for row in self.rows),
            "actions": [action for row in self.rows for action in row["actions"]],
            "environments": [_shown(row) for row in self.rows],
        }
        if show_diff:
            result["diff"] = [difference(*each) for each in zip(self.rows, bundles) if each[0]["actions"]]
        return result


def merged(earlier: Fields, later: Fields) -> Fields:
    """Return one row for two executions: all that was done, and what is there now."""
    return {
        **later,
        "actions": list(dict.fromkeys([*earlier["actions"], *later["actions"]])),
        "recovered": [*earlier["recovered"], *later["recovered"]],
        "packages_before": earlier["packages_before"] or later["packages_before"],
    }


def difference(row: Fields, packages: PackagesById) -> Fields:
    """Return what Ansible shows of one environment with --diff: by package, or the actions where no package changes."""
    before = [Package.from_json(package) for package in row["packages_before"]]
    diff = package_diff(before, packages.get(row["wanted"], ()))
    if not diff.actions or not row["deployed"]:
        return {"prepared": "".join(f"{row['prefix']}: {action}\n" for action in row["actions"])}
    return {
        "before_header": f"{row['prefix']} (packages)",
        "after_header": f"{row['prefix']} (packages)",
        **diff.to_json(),
    }


def _shown(row: Fields) -> Fields:
    kept = ("name", "prefix", "content_id", "generation", "actions", "recovered", "unexpected")
    return {"changed": bool(row["actions"]), **{key: row[key] for key in kept}}
