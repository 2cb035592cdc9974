# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upgrade writes to a host's disk: one package changed, the old generation kept."""

from __future__ import annotations

import json
from dataclasses import replace

from world import bundles
from world.process import say

from bench.builds import Build
from bench.figures import Figure
from bench.sites import PREFIX, Scene, fresh_site

#: Of the example, one package is another.
BEFORE = bundles.EXAMPLE.replace("pandas=1.5.3", "pandas=1.5.2")

LIMIT = 1.2

_STORE = "/opt/conda/envs/.airgap/my_env"

#: On a host: bytes that the files of all trees take there, each inode once; and how many of those of the live tree are
#: not just so in the one before.
_LOOK = f"""
import filecmp, glob, json, os
trees = ["{PREFIX}", *glob.glob("{_STORE}/generations/*")]
blocks, changed = {{}}, 0
for tree in trees:
    for top, _names, files in os.walk(tree):
        for name in files:
            path = os.path.join(top, name)
            status = os.lstat(path)
            blocks[status.st_ino] = status.st_blocks * 512
            old = os.path.join(trees[-1], os.path.relpath(path, tree))
            if tree == trees[0] and not os.path.islink(path):
                same = os.path.isfile(old) and (os.path.samefile(path, old) or filecmp.cmp(path, old, shallow=False))
                changed += 0 if same else status.st_size
records = sum(os.lstat(path).st_blocks * 512 for path in glob.glob("{_STORE}/[!g]*/*"))
print(json.dumps([sum(blocks.values()), records, changed]))
"""


def measure(build: Build, scene: Scene) -> list[Figure]:
    """Deploy the example with another pandas to one host, then the example, both with bytecode."""
    say("an upgrade of one package")
    with fresh_site(replace(scene, hosts=1)) as site:
        looks = []
        for bundle in (bundles.ensure(BEFORE), build.bundle):
            site.ours(bundle, bytecode=True)
            looks.append(json.loads(site.answer(f"python3 -c '{_LOOK}'")))
    (before, records_before, _all), (after, records_after, changed) = looks
    ratio = (after - before) / changed
    return [
        Figure(
            "upgrade of one package, written beside what changed",
            f"{ratio:.2f}",
            f"<= {LIMIT:.2f}",
            ratio <= LIMIT,
            f"changed {changed / 1e6:.1f} MB of {before / 1e6:.0f}, written {(after - before) / 1e6:.1f} MB"
            f" and {(records_after - records_before) / 1e6:.1f} MB of records; blocks, each inode once",
        )
    ]
