# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.versions import newest, numbers, oldest


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.31", (2, 31)),
        ("12", (12,)),
        ("2.17.0", (2, 17)),
        ("2.31-13+deb11u5", (2, 31, 13, 11, 5)),
        ("", ()),
        ("x", ()),
    ],
)
def test_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert numbers(version) == expected


@pytest.mark.parametrize(("older", "newer"), [("2.5", "2.17"), ("2", "2.1"), ("", "2.5"), ("9.9", "10")])
def test_versions_are_compared_as_numbers(older: str, newer: str) -> None:
    assert numbers(older) < numbers(newer)
    assert newest([older, newer, older]) == newer
    assert oldest([newer, older, newer]) == older


@pytest.mark.parametrize(("one", "other"), [("12", "12.0"), ("2.17", "2.17.0")])
def test_a_zero_at_the_end_makes_no_newer_version(one: str, other: str) -> None:
    assert numbers(one) == numbers(other)


def test_of_no_versions_none_is_newest() -> None:
    assert newest([]) == oldest([]) == ""
