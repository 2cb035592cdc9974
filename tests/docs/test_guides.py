# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guides, the README and the roles' pages name is there: variables, playbooks, roles and modules."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from world.pages import CHECKOUT, GUIDES, fenced

PAGES = sorted((CHECKOUT / "README.md", *GUIDES.glob("*.rst"), *CHECKOUT.glob("roles/*/README.md")))
#: Variables of the roles, and of the playbooks over them.
VARIABLES = {name for path in CHECKOUT.glob("roles/*/defaults/main.yml") for name in yaml.safe_load(path.read_text())}
VARIABLES |= {
    name for path in CHECKOUT.glob("playbooks/*.yml") for name in re.findall(r"env_\w+_hosts", path.read_text())
}
NAMES = {path.stem for part in ("playbooks/*.yml", "roles/*", "plugins/modules/*.py") for path in CHECKOUT.glob(part)}

#: Other words after the collection's name: its repository is called so too, and labels of pages are.
ELSEWHERE = {"conda", "docsite", "git"}


def named(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_variables_and_names_are_there(path: Path) -> None:
    text = path.read_text()
    # A name that is cut off, as in env_deploy_register_*, is none.
    found = set(re.findall(r"\benv_(?:build|deploy|drift)_[a-z][a-z_]*[a-z]\b(?!_?\*)", text))
    # Modules are called so too.
    assert found <= VARIABLES | NAMES, found - VARIABLES
    called = set(re.findall(r"\bairgap\.conda\.([a-z_]+)\b(?=[ `'\"\n#>,])", text)) - ELSEWHERE
    assert called <= NAMES, called - NAMES


def blocks(path: Path) -> Iterator[str]:
    """What a page shows in YAML."""
    if path.suffix == ".md":
        yield from fenced(path, "yaml")
        return
    for block in re.findall(r"^\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", path.read_text(), re.MULTILINE):
        yield textwrap.dedent(block)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_what_is_shown_in_yaml_can_be_read(path: Path) -> None:
    for block in blocks(path):
        assert isinstance(yaml.safe_load(block), (dict, list)), block
