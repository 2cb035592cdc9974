# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test takes its requirements from one file without references, so what it repeats is compared."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def ranges(file: str) -> set[str]:
    lines = (CHECKOUT / file).read_text().splitlines()
    return {line.partition(";")[0] for line in lines if line and line[0] not in "#-"}


def test_unit_tests_get_the_versions_of_the_checkout() -> None:
    repeated = ranges("tests/unit/requirements.txt")
    assert repeated and repeated <= ranges("requirements.txt") | ranges("requirements-dev.txt")
