# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation tells people to type or to write, taken from its pages as it stands."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
GUIDES = CHECKOUT / "docs/docsite/rst"


def block(page: str, mark: str) -> str:
    """The block of a guide after the comment *mark*."""
    text = (GUIDES / f"{page}.rst").read_text()
    found = re.search(rf"^\.\. {re.escape(mark)}\n\n\.\. code-block:: \w+\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert found, f"{page} has no block {mark}"
    return textwrap.dedent(found[1]).strip() + "\n"


def commands(page: str, mark: str) -> list[str]:
    """The commands of a block."""
    return typed(block(page, mark))


def typed(console: str) -> list[str]:
    """The commands of what a terminal shows; a line that ends with a backslash goes on."""
    lines = console.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def fenced(path: Path, language: str) -> list[str]:
    """The blocks of one language in a page in Markdown."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE)
