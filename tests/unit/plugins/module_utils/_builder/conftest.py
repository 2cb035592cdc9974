# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.handmade import (
    Handmade,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.packed import (
    Packed,
    fill,
    pack,
)


@pytest.fixture
def made(tmp_path: Path) -> Handmade:
    return fill(Handmade(tmp_path / "builder"))


@pytest.fixture
def packed(made: Handmade, tmp_path: Path) -> Packed:
    return pack(made, tmp_path / "dist")
