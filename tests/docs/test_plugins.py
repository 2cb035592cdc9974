# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-doc shows is whole: every option and result is described, and the roles' three lists agree."""

from __future__ import annotations

import json
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from world.ansible import BIN

CHECKOUT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py"))
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir())
#: What every module says of itself.
ATTRIBUTES = {"check_mode", "diff_mode", "idempotent", "platform"}

Fields = t.Dict[str, t.Any]


def ansible_doc(kind: str, name: str) -> Fields:
    words = [str(BIN / "ansible-doc"), "--type", kind, "--json", f"airgap.conda.{name}"]
    shown: Fields = json.loads(subprocess.check_output(words))
    return t.cast(Fields, shown[f"airgap.conda.{name}"])


def bare(options: Fields, inner: str, above: str = "") -> list[str]:
    """The options (or results), at any depth, that have no description or no type."""
    found = []
    for name, option in options.items():
        path = f"{above}{name}"
        if not "".join(option.get("description") or "").strip() or not option.get("type"):
            found.append(path)
        if option.get("type") == "list" and not option.get("elements"):
            found.append(f"{path} (elements)")
        found += bare(option.get(inner) or {}, inner, f"{path}.")
    return found


@pytest.mark.parametrize("name", MODULES)
def test_modules_leave_nothing_undocumented(name: str) -> None:
    shown = ansible_doc("module", name)
    doc = shown["doc"]
    assert all(doc[key] for key in ("short_description", "description", "author", "version_added", "seealso"))
    assert bare(doc["options"], "suboptions") == []
    assert bare(shown["return"], "contains") == []
    assert all(result["returned"] for result in shown["return"].values())
    assert set(doc["attributes"]) >= ATTRIBUTES
    assert yaml.safe_load(shown["examples"])


@pytest.mark.parametrize("name", ROLES)
def test_roles_leave_nothing_undocumented(name: str) -> None:
    for entry in ansible_doc("role", name)["entry_points"].values():
        assert all(entry[key] for key in ("short_description", "description", "author", "version_added", "seealso"))
        assert bare(entry["options"], "options") == []


@pytest.mark.parametrize("name", ROLES)
def test_a_roles_defaults_specification_and_readme_agree(name: str) -> None:
    role = CHECKOUT / "roles" / name
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    options = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {key: option.get("default") for key, option in options.items()} == defaults
    rows = [line.split("|")[1] for line in (role / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(defaults)


def test_an_environment_of_the_list_has_the_keys_of_the_module() -> None:
    items = ansible_doc("role", "env_deploy")["entry_points"]["main"]["options"]["env_deploy_environments"]["options"]
    module = ansible_doc("module", "env_deploy")["doc"]["options"]["environments"]["suboptions"]
    # What the action plugin adds is not for inventories.
    assert set(items) == set(module) - {"offers", "by"}
    for name in ("health", "register", "source"):
        assert set(items[name]["options"]) == set(module[name]["suboptions"])


def test_the_licences_of_the_role_have_the_keys_of_the_module() -> None:
    role = ansible_doc("role", "env_build")["entry_points"]["main"]["options"]["env_build_licenses"]["options"]
    assert set(role) == set(ansible_doc("module", "bundle")["doc"]["options"]["licenses"]["suboptions"])


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_in_the_action_group(name: str) -> None:
    assert name in yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())["action_groups"]["conda"]
