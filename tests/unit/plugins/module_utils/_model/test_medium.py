# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.medium import cut, parts_among


@pytest.mark.parametrize("count", [2, 3, 999, 1000, 1001])
def test_parts_are_found_in_order_among_others(count: int) -> None:
    parts = [name for name, _offset, _size in cut("a.tar", count, 1)]
    others = ["a.tar", "a.tar.1", "a.tar.001.partial", "b.a.tar.001", "a+tar.001", "a.tar.x01", "a.tar.gz.001"]
    assert parts_among([*others, *reversed(parts)], "a.tar") == parts


def test_what_fits_is_no_part() -> None:
    assert parts_among([name for name, _offset, _size in cut("a.tar", 1, 1)], "a.tar") == []
