# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What suites count and print at their end: `@pytest.mark.counts("defects shown")` adds each test that passes."""

from __future__ import annotations

import collections

import pytest

_COUNTED = "counted as"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "counts(what): each of these that passes adds one to a line at the end")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # With the reports, so that it comes home from other processes.
        item.user_properties += [(_COUNTED, mark.args[0]) for mark in item.iter_markers("counts")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.stats.get("passed", [])
    counts = collections.Counter(what for report in passed for name, what in report.user_properties if name == _COUNTED)
    for what, count in sorted(counts.items()):
        terminalreporter.write_line(f"{count} {what}", bold=True)
