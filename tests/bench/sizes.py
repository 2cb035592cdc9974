# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether size matters where it should not: in a second run, and in the memory of the controller while it sends."""

from __future__ import annotations

from pathlib import Path

from world.process import say

from bench.builds import Build, beside
from bench.figures import Figure, Pairs
from bench.processes import Forks
from bench.sites import Scene, Site, fresh_site, unchanged

PAIRS = 4


def measure(build: Build, scene: Scene, *, size: bool, memory: bool) -> list[Figure]:
    """Deploy the example and a large environment to the same hosts, without bytecode; then run again for each."""
    large = build.enlarged()
    figures, names = [], (beside(build.bundle, large), "example")
    with fresh_site(scene) as site:
        say("sending the example, then the large bundle")
        peaks = (_peak(site, large), _peak(site, build.bundle))
        if memory:
            figures.append(Pairs(names, "MB", [peaks]).figure("controller, peak memory of a fork", 1.1))
        if size:
            say("second runs of both")
            pairs = [(_second(site, large), _second(site, build.bundle)) for _pair in range(PAIRS)]
            figures.append(Pairs(names, "s", pairs).figure("second run, large environment", 1.2))
    return figures


def _peak(site: Site, bundle: Path) -> float:
    with Forks() as forks:
        site.ours(bundle, bytecode=False)
    return forks.peak / 1e6


def _second(site: Site, bundle: Path) -> float:
    return unchanged(site.ours(bundle, bytecode=False)).seconds
