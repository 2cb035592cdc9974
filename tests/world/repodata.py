# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of a channel's packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: Threads of py-rattler's can crash a process that ends in the usual way, after its work is done.
_INDEX = """
import asyncio, os, sys
from pathlib import Path
from rattler.index import index_fs
asyncio.run(index_fs(Path(sys.argv[1]), write_shards=False))
os._exit(0)
"""


def write_repodata(channel: Path) -> None:
    """Write the index of the packages in *channel*, in a process of its own."""
    subprocess.run([sys.executable, "-c", _INDEX, channel], check=True)
