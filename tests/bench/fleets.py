# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one more host costs, beside tar alone: first rollouts to an eighth of the hosts, a quarter, half, all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import linear_regression
from typing import NamedTuple

from world import bundles
from world.process import WorldError, say

from bench.builds import described, packed_size, plain
from bench.figures import Figure, Pairs
from bench.processes import Memory
from bench.sites import Scene, Site, Timed, fresh_site, unchanged
from bench.updates import cost

#: At once, for us and for tar.
FORKS = 8
_PIPELINED = {"ansible_pipelining": "true"}
#: Of a host, beside the tree: sshd, and what is on its way.
_ROOM = 20e6


class Sample(NamedTuple):
    """What so many hosts took, one way and the other."""

    bare: Timed
    first: Timed
    #: With Ansible's pipelining.
    pipelined: Timed
    #: Bytes of the controller's memory in our first rollout.
    memory: int


class Later(NamedTuple):
    """What all hosts took that have the environment."""

    ping: Timed
    second: Timed
    pipelined_ping: Timed
    pipelined_second: Timed


def measure(scene: Scene) -> list[Figure]:
    """Measure with fresh hosts for each number of them; on all of them second runs, too."""
    bundle = _fitting(scene.hosts)
    counts = sorted({max(1, scene.hosts // share) for share in (8, 4, 2, 1)})
    found: dict[int, Sample] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        archive = plain(bundle, Path(name, "archive.tar.gz"))
        for count in counts:
            say(f"{count} hosts")
            with fresh_site(replace(scene, hosts=count, forks=FORKS)) as site:
                found[count] = _sample(site, bundle, archive)
                if count == counts[-1]:
                    say("second runs")
                    later = _later(site, bundle)
    return [*_growth(described(bundle)["name"], found), *_each(scene.hosts, found[scene.hosts], later)]


def _sample(site: Site, bundle: Path, archive: Path) -> Sample:
    bare = site.bare(archive)
    site.wipe()
    first = site.ours(bundle, bytecode=False)
    site.wipe()
    pipelined = site.ours(bundle, bytecode=False, **_PIPELINED)
    site.wipe()
    # In a run of its own, as looking takes time.
    with Memory() as memory:
        site.ours(bundle, bytecode=False)
    return Sample(bare, first, pipelined, memory.peak)


def _later(site: Site, bundle: Path) -> Later:
    """Second runs beside pings, without pipelining and with."""
    return Later(
        site.ping(),
        unchanged(site.ours(bundle, bytecode=False)),
        site.ping(**_PIPELINED),
        unchanged(site.ours(bundle, bytecode=False, **_PIPELINED)),
    )


def _growth(name: str, found: dict[int, Sample]) -> Iterator[Figure]:
    """How all grows with the number of hosts: the slope of the line that fits best."""

    def slope(of: Callable[[Sample], float]) -> float:
        return linear_regression(list(found), [of(sample) for sample in found.values()]).slope

    def pair(of: Callable[[Timed], float], ours: Callable[[Sample], Timed]) -> Pairs:
        slopes = (slope(lambda sample: of(ours(sample))), slope(lambda sample: of(sample.bare)))
        return Pairs(("ours", "tar alone"), "s", [slopes])

    for count, sample in found.items():
        walls = Pairs(("ours", "tar alone"), "s", [(sample.first.seconds, sample.bare.seconds)])
        yield walls.figure(f"{name} to {count} hosts, {FORKS} forks")
    ways: dict[str, Callable[[Sample], Timed]]
    ways = {"": lambda sample: sample.first, ", pipelined": lambda sample: sample.pipelined}
    for way, ours in ways.items():
        yield pair(lambda timed: timed.seconds, ours).figure(f"one more host{way}, wall", 1.2)
        yield pair(lambda timed: timed.cpu, ours).figure(f"one more host{way}, CPU of all")
        yield pair(lambda timed: timed.controller_cpu, ours).figure(f"one more host{way}, CPU of the controller")
    memory = ", ".join(f"{count} hosts {sample.memory / 1e6:.0f} MB" for count, sample in found.items())
    more = slope(lambda sample: sample.memory) / 1e6
    yield Figure("one more host, memory of the controller", f"{more:.2f} MB", detail=memory)


def _each(hosts: int, found: Sample, later: Later) -> Iterator[Figure]:
    names, pipelined = ("ours", "ping"), (later.pipelined_second.seconds, later.pipelined_ping.seconds)
    second = Pairs(names, "s", [(later.second.seconds, later.ping.seconds)])
    yield second.figure(f"second run of {hosts} hosts", 1.5)
    yield Pairs(names, "s", [pipelined]).figure(f"second run of {hosts} hosts, pipelined")
    yield cost("first rollout", found.first, hosts)
    yield cost("first rollout, pipelined", found.pipelined, hosts)
    yield cost("second run", later.second, hosts)
    yield cost("second run, pipelined", later.pipelined_second, hosts)
    yield cost("ping", later.ping, hosts)
    yield cost("ping, pipelined", later.pipelined_ping, hosts)


def _fitting(hosts: int) -> Path:
    """The example, or a smaller one where the trees of all hosts would not fit into memory."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    there = int(lines["MemAvailable"].split()[0]) * 1024
    for spec in (bundles.EXAMPLE, bundles.TOOLS):
        bundle = bundles.ensure(spec)
        each = described(bundle)["needs"]["size"] + packed_size(bundle) * FORKS / hosts + _ROOM
        if there > hosts * each:
            return bundle
    raise WorldError(f"{there / 1e9:.0f} GB of memory are free, enough for --hosts {int(there / each)}")
