# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What suites count and print at their end.

`@pytest.mark.counts("defects shown")` adds one for each test that passes, `count("bundles refused", 12)` in a test
as many as it says.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

import pytest

_COUNTED = "counted as"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "counts(what): each of these that passes adds one to a line at the end")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # With the reports, so that it comes home from other processes.
        item.user_properties += [(_COUNTED, (mark.args[0], 1)) for mark in item.iter_markers("counts")]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Take note of so many of what the test looked at."""
    return lambda what, number: request.node.user_properties.append((_COUNTED, (what, number)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.stats.get("passed", [])
    counts: collections.Counter[str] = collections.Counter()
    for report in passed:
        for what, number in (counted for name, counted in report.user_properties if name == _COUNTED):
            counts[what] += number
    for what, number in sorted(counts.items()):
        terminalreporter.write_line(f"{number} {what}", bold=True)
