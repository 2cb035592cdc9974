# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back: beside a ping, and for a large environment beside the example."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from world import bundles
from world.process import say

from bench.builds import Build, beside, described
from bench.figures import Figure, Pairs
from bench.sites import Scene, Site, Timed, fresh_site

#: At most, as each takes much memory.
HOSTS = 2
PAIRS = 6


def measure(build: Build, scene: Scene) -> list[Figure]:
    """Deploy two generations of the example and of a large environment, then go back and forth."""
    say("bundles to go back and forth between")
    example = (bundles.ensure(bundles.EARLIER), build.bundle)
    large = (build.enlarged(), build.touched())
    # Each has two large generations, and room for as much again as the last of them needs.
    with fresh_site(replace(scene, hosts=min(scene.hosts, HOSTS), size="4g")) as site:
        for bundle in (*example, *large):
            site.ours(bundle, bytecode=False)
        small, big = _goings(site, "my_env", example), _goings(site, "large", large)
        say("going back and forth")
        # The first of each finds nothing of the trees in memory.
        next(small), next(big)
        beside_ping, beside_small = [], []
        for _pair in range(PAIRS):
            ping, one, other = site.ping(), next(small), next(big)
            beside_ping.append((one.seconds, ping.seconds))
            beside_small.append((other.seconds, one.seconds))
    return [
        Pairs(("rollback", "ping"), "s", beside_ping).figure("rollback, beside a ping", 1.5),
        Pairs((beside(example[1], large[1]), "example"), "s", beside_small).figure("rollback, large environment", 1.2),
    ]


def _goings(site: Site, name: str, pair: tuple[Path, Path]) -> Iterator[Timed]:
    """Go to the first of the two, which is not live, then to the other, and so on."""
    ids = [described(bundle)["content_id"] for bundle in pair]
    for content_id in itertools.cycle(ids):
        yield site.back(name, content_id)
