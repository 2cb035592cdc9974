# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package
from ansible_collections.airgap.conda.plugins.plugin_utils._outcome import Outcome, difference, merged

OLD, NEW = Package("pandas", "1.5.2", "0"), Package("pandas", "1.5.3", "0")
BUNDLES = [{"new": (NEW,), "old": (OLD,)}]


def row(**fields: t.Any) -> dict[str, t.Any]:
    """Return a row as the module gives it for an upgrade, but for *fields*."""
    return {
        "name": "ml",
        "prefix": "/envs/ml",
        "changed": True,
        "actions": ["replace old by new at /envs/ml"],
        "recovered": [],
        "packages_before": [OLD.to_json()],
        "deployed": True,
        "wanted": "new",
        "content_id": "old",
        "generation": "0001-old",
        "unexpected": [],
        **fields,
    }


#: The execution after the last part was sent, and one more that finds nothing to do.
DONE = row(content_id="new", generation="0002-new", recovered=["an interrupted switch was finished"])
SETTLED = row(content_id="new", generation="0002-new", actions=[], changed=False, packages_before=[], deployed=False)


def outcome(*executions: list[dict[str, t.Any]]) -> Outcome:
    made = Outcome()
    for rows in executions:
        made.add({"environments": rows, "awaited": []})
    return made


def test_of_one_execution_all_is_told() -> None:
    result = outcome([DONE]).result(BUNDLES, show_diff=False)
    assert result == {
        "changed": True,
        "actions": ["replace old by new at /envs/ml"],
        "environments": [
            {
                "changed": True,
                "name": "ml",
                "prefix": "/envs/ml",
                "content_id": "new",
                "generation": "0002-new",
                "actions": ["replace old by new at /envs/ml"],
                "recovered": ["an interrupted switch was finished"],
                "unexpected": [],
            }
        ],
    }


def test_many_executions_tell_each_action_once_and_what_is_there_now() -> None:
    result = outcome([row()], [row(actions=["replace old by new at /envs/ml", "write x"])], [DONE]).result(
        BUNDLES, False
    )
    assert result["actions"] == ["replace old by new at /envs/ml", "write x"]
    (shown,) = result["environments"]
    assert (shown["content_id"], shown["generation"], shown["changed"]) == ("new", "0002-new", True)
    assert shown["recovered"] == ["an interrupted switch was finished"]


def test_nothing_done_is_nothing_changed() -> None:
    result = outcome([SETTLED]).result(BUNDLES, show_diff=True)
    assert (result["changed"], result["actions"], result["diff"]) == (False, [], [])


def test_what_was_there_before_is_that_of_the_first_execution_that_knew() -> None:
    assert merged(row(), row(packages_before=[]))["packages_before"] == [OLD.to_json()]
    assert merged(row(packages_before=[]), row())["packages_before"] == [OLD.to_json()]


def test_rows_belong_to_environments_in_their_order() -> None:
    settled = {**SETTLED, "name": "other", "prefix": "/envs/other"}
    result = outcome([row(), settled], [DONE, settled]).result([*BUNDLES, {}], show_diff=True)
    assert [each["name"] for each in result["environments"]] == ["ml", "other"]
    assert [each["changed"] for each in result["environments"]] == [True, False]
    assert len(result["diff"]) == 1


def test_a_difference_is_shown_by_package() -> None:
    assert difference(row(), BUNDLES[0]) == {
        "before_header": "/envs/ml (packages)",
        "after_header": "/envs/ml (packages)",
        "before": "pandas 1.5.2 0\n",
        "after": "pandas 1.5.3 0\n",
    }


def test_a_first_deployment_and_a_removal_show_all_packages() -> None:
    assert difference(row(packages_before=[]), BUNDLES[0])["before"] == ""
    assert difference(row(wanted=""), BUNDLES[0])["after"] == ""


def test_where_no_package_changes_the_actions_are_shown() -> None:
    repaired = row(wanted="old", actions=["put back a at /envs/ml", "write b"])
    assert difference(repaired, BUNDLES[0]) == {"prepared": "/envs/ml: put back a at /envs/ml\n/envs/ml: write b\n"}
    registered = row(deployed=False, actions=["write b"])
    assert difference(registered, BUNDLES[0]) == {"prepared": "/envs/ml: write b\n"}
