# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package, listing, package_diff

PANDAS = Package("pandas", "1.5.2", "py311_0", "conda-forge", licence="BSD-3-Clause")
ATTRS = Package("attrs", "23.1.0", manager=PIP)


def test_json_round_trip() -> None:
    assert Package.from_json(PANDAS.to_json()) == PANDAS


def test_unknown_keys_of_newer_versions_are_ignored() -> None:
    assert Package.from_json({**ATTRS.to_json(), "md5": "0"}) == ATTRS


def test_listing_is_sorted_and_names_the_manager() -> None:
    assert listing([PANDAS, ATTRS]) == "attrs 23.1.0 (pip)\npandas 1.5.2 py311_0\n"


@pytest.mark.parametrize(
    ("before", "after", "actions"),
    [
        ([], [], ()),
        ([PANDAS], [PANDAS], ()),
        ([], [PANDAS], ("+ pandas 1.5.2 py311_0",)),
        ([ATTRS], [], ("- attrs 23.1.0 (pip)",)),
        ([PANDAS], [Package("pandas", "1.5.3", "py311_0")], ("pandas 1.5.2 → 1.5.3",)),
        ([PANDAS], [Package("pandas", "1.5.2", "py311_1")], ("pandas 1.5.2 py311_0 → py311_1",)),
        ([ATTRS], [Package("attrs", "24.1.0", manager=PIP)], ("attrs (pip) 23.1.0 → 24.1.0",)),
        ([ATTRS], [Package("attrs", "23.1.0", "0")], ("+ attrs 23.1.0 0", "- attrs 23.1.0 (pip)")),
    ],
)
def test_actions(before: list[Package], after: list[Package], actions: tuple[str, ...]) -> None:
    assert package_diff(before, after).actions == actions


def test_diff_for_ansible() -> None:
    assert package_diff([], [ATTRS]).to_json() == {"before": "", "after": "attrs 23.1.0 (pip)\n"}
