# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports point down only, as docs/ARCHITECTURE.md says, and what that page names is there."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PLUGINS = CHECKOUT / "plugins"
OURS = "ansible_collections.airgap.conda.plugins."
MODEL, HOST, BUILDER = (f"module_utils.{layer}" for layer in ("_model", "_host", "_builder"))
#: By directory of plugins/, the layers that its files may import.
ALLOWED = {
    "module_utils/_model": (MODEL,),
    "module_utils/_host": (MODEL, HOST),
    "module_utils/_builder": (MODEL, HOST, BUILDER),
    # Specs are read on the controller too, archives packed by hand are, and deltas are made there.
    "plugin_utils": (MODEL, HOST, BUILDER, "plugin_utils"),
    "action": (MODEL, HOST, "plugin_utils"),
    "modules": (MODEL, HOST, BUILDER),
}
#: Runs on hosts, where there is nothing but the standard library.
HOST_MODULES = ("bundle_info", "env_deploy", "env_drift_info")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("directory", ALLOWED)
def test_imports_point_down_only(directory: str) -> None:
    files = sorted((PLUGINS / directory).glob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            below = name.removeprefix(OURS)
            assert below == name or below.startswith(ALLOWED[directory]), f"{path.name} imports {below}"


def test_hosts_get_nothing_of_the_builder_and_no_library() -> None:
    files = [*(PLUGINS / "module_utils/_model").glob("*.py"), *(PLUGINS / "module_utils/_host").glob("*.py")]
    files += [PLUGINS / f"modules/{name}.py" for name in HOST_MODULES]
    # compression came with Python 3.14.
    known = {*sys.stdlib_module_names, "compression"}
    for path in files:
        for name in imports(path):
            assert not name.startswith(OURS + BUILDER), f"{path.name} imports {name}"
            allowed = name.startswith((OURS, "ansible.module_utils.")) or name.partition(".")[0] in known
            assert allowed, f"{path.name} imports {name}"


PAGE = (CHECKOUT / "docs/ARCHITECTURE.md").read_text()


def test_the_paths_that_the_page_names_are_there() -> None:
    named = re.findall(r"`((?:plugins|tests|docs|plugin_utils|_model|_host|_builder)/\w[\w/.]*)`", PAGE)
    assert len(named) > 5
    for name in named:
        below = re.sub(r"^(?=_)", "module_utils/", name)
        places = [CHECKOUT / name, PLUGINS / below, PLUGINS / f"{below}.py"]
        assert any(place.exists() for place in places), name


@pytest.mark.parametrize("section", ["From spec to bundle", "From bundle to host"])
def test_the_modules_that_the_page_walks_through_are_there(section: str) -> None:
    walk = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    named = re.findall(r"`(?:_\w+/)?([a-z_]+)`", walk)
    assert len(named) > 5
    layers = {path.name for path in PLUGINS.rglob("*") if path.is_dir()}
    modules = {path.stem.lstrip("_") for path in PLUGINS.rglob("*.py")}
    assert [name for name in named if name not in modules | layers] == []
