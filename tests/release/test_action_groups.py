# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action group of meta/runtime.yml: every module is in it, says so, and takes defaults by it."""

from __future__ import annotations

import ast
import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from world import ansible

CHECKOUT = Path(__file__).parents[2]
GROUP = "conda"
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py") if path.stem != "__init__")
#: What a controller half wants before it executes its module; others need nothing.
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "bundle": {"prefix": "/nonexistent", "name": "x"},
    "bundle_delta": {"older": "x", "newer": "y"},
    "bundle_export": {"bundles": [], "medium": "x"},
    "bundle_import": {"medium": "x"},
    "bundle_info": {"bundle": "x"},
    "env": {"state": "absent", "name": "x"},
    "env_deploy": {"environments": []},
    "env_drift_info": {"environments": []},
    "env_drift_report": {"variable": "x"},
    "env_drift_verdict": {"result": {}},
    "env_rollback": {"name": "x"},
}


def constant(path: Path, name: str) -> str:
    """Return the text that is assigned to *name* anywhere in the module at *path*."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and [target.id for target in node.targets if isinstance(target, ast.Name)] == [
            name
        ]:
            return str(ast.literal_eval(node.value))
    raise AssertionError(f"{path} assigns no {name}")


def test_the_group_names_every_module_and_nothing_else() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())
    assert {name: sorted(members) for name, members in runtime["action_groups"].items()} == {GROUP: MODULES}


def test_each_action_plugin_has_its_module() -> None:
    actions = {path.stem for path in (CHECKOUT / "plugins/action").glob("*.py")} - {"__init__"}
    assert actions <= set(MODULES)


def test_the_fragment_names_the_group() -> None:
    text = constant(CHECKOUT / "plugins/doc_fragments/_attributes.py", f"ACTIONGROUP_{GROUP.upper()}")
    assert yaml.safe_load(text)["attributes"]["action_group"]["membership"] == [f"airgap.conda.{GROUP}"]


@pytest.mark.parametrize("module", MODULES)
def test_each_module_says_that_it_is_in_the_group(module: str) -> None:
    documentation = yaml.safe_load(constant(CHECKOUT / f"plugins/modules/{module}.py", "DOCUMENTATION"))
    assert f"airgap.conda._attributes.actiongroup_{GROUP}" in documentation["extends_documentation_fragment"]


def test_defaults_of_the_group_reach_every_module(tmp_path: Path) -> None:
    """A default that no module knows: each refuses it by name, so each got it."""
    tasks = [{f"airgap.conda.{module}": ARGUMENTS.get(module, {}), "ignore_errors": True} for module in MODULES]
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {f"group/airgap.conda.{GROUP}": {"nobody_knows": 1}},
        "tasks": tasks,
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = ansible.play("play.yml", cwd=tmp_path, home=tmp_path)
    for module in MODULES:
        # Those that run on the controller only are called by their plugin's name.
        refused = rf"Unsupported parameters for \([\w.]+\.{module}\) module: nobody_knows"
        assert re.search(refused, done.output), done.output
