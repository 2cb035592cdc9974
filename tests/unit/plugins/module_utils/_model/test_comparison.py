# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.comparison import FileCounts, compare_files
from ansible_collections.airgap.conda.plugins.module_utils._model.files import FILE, LINK, Entry


def entry(path: str, size: int = 1, digest: str = "a") -> Entry:
    return Entry(path, FILE, size=size, sha256=digest * 64)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [], FileCounts(0, 0, 0, 0)),
        ([entry("a")], [entry("a")], FileCounts(0, 0, 0, 0)),
        ([entry("a")], [entry("a", 5, "b"), entry("b", 7)], FileCounts(1, 0, 1, 12)),
        ([entry("a"), entry("b")], [Entry("a", LINK, target="b")], FileCounts(0, 1, 1, 0)),
        ([entry("a")], [entry("a")._replace(mode=0o755)], FileCounts(0, 0, 1, 1)),
    ],
)
def test_files_that_differ_are_counted(before: list[Entry], after: list[Entry], expected: FileCounts) -> None:
    assert compare_files(before, after) == expected
