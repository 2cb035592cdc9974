# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of messages has every message of the code, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from world import messages

PAGE = Path(__file__).parents[2] / "docs/docsite/rst/guide_troubleshooting.rst"


def explained() -> list[str]:
    """The messages that are headings of an explanation."""
    lines = PAGE.read_text().splitlines()
    terms = [line for line, below in zip(lines, lines[1:]) if line.startswith("``") and below.startswith("    ")]
    return [message for term in terms for message in re.findall(r"``(.+?)``(?=, ``|$)", term)]


def test_every_message_is_explained() -> None:
    assert sorted(set(messages.messages()) - set(explained())) == []


def test_every_message_that_is_explained_is_one() -> None:
    assert sorted(set(explained()) - set(messages.messages())) == []


def test_no_message_is_explained_twice() -> None:
    assert sorted(explained()) == sorted(set(explained()))
