# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same promises on every file system: that can exchange, link and share blocks, or cannot."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from world.disks import lived_on

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs Linux and root; run the suite as root"
)


@pytest.mark.parametrize(
    ("kind", "refused", "shared"),
    [
        ("ext4", (), "inodes"),
        ("xfs", (), "blocks"),
        ("xfs without reflink", (), "inodes"),
        ("btrfs", (), "blocks"),
        ("tmpfs", (), "inodes"),
        ("overlay", (), "inodes"),
        ("ext4", ("exchange",), "inodes"),
        ("tmpfs", ("exchange", "link"), "nothing"),
    ],
)
def test_a_whole_life_on_a_file_system(kind: str, refused: tuple[str, ...], shared: str) -> None:
    done = lived_on(kind, *refused)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"shared": shared, "exchanges": "exchange" not in refused}
    assert "airgap-disk-" not in Path("/proc/mounts").read_text()
