# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What the controller knows of drift: packages of the bundles asked for, and hosts that could not be looked at."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package, package_diff

Fields = t.Dict[str, t.Any]

#: How many packages a sentence names.
NAMED = 5


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
