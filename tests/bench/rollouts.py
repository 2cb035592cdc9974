# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts of the example, ours and the naive one, to fresh hosts and once more to the same."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator

from world.process import say

from bench.builds import Build
from bench.figures import Figure, Pairs, summary
from bench.sites import Scene, Timed, fresh_site, unchanged

#: Second runs beside pings in a round.
SECONDS = 4


@dataclasses.dataclass
class Round:
    """What was measured in a row: each list in the order it was run."""

    naive: list[Timed] = dataclasses.field(default_factory=list)
    #: Our first rollout without bytecode.
    bare: list[Timed] = dataclasses.field(default_factory=list)
    #: Our first rollout with bytecode, then second runs.
    full: list[Timed] = dataclasses.field(default_factory=list)
    #: One before each of those.
    pings: list[Timed] = dataclasses.field(default_factory=list)
    #: Files that hold a placeholder after each naive run, and after ours.
    left: list[int] = dataclasses.field(default_factory=list)
    ours_left: int = 0


class Rollouts:
    """Rounds of rollouts, with fresh hosts for each contender."""

    def __init__(self, build: Build, scene: Scene, *, first: bool, second: bool) -> None:
        self._build = build
        self._scene = scene
        self._first = first
        self._second = second
        self._rounds: list[Round] = []
        #: Seconds that the last round took.
        self.took = 0.0

    def round(self) -> None:
        """Run one more round; every other one in reverse order, as a shared machine drifts."""
        began = time.monotonic()
        contenders = [self._naive, self._bare, self._full]
        found = Round()
        for contender in contenders if len(self._rounds) % 2 == 0 else reversed(contenders):
            contender(found)
        self._rounds.append(found)
        self.took = time.monotonic() - began

    def figures(self) -> Iterator[Figure]:
        """What the rounds that were finished show."""
        if self._rounds and self._first:
            yield from self._first_figures()
        if self._rounds and self._second:
            yield from self._second_figures()

    # --- contenders -----------------------------------------------------------------------------------------------

    def _naive(self, found: Round) -> None:
        say("the naive playbook")
        with fresh_site(self._scene) as site:
            for _time in range(2 if self._second else 1):
                found.naive.append(site.naive(self._build.archive))
                found.left.append(site.placeholders(str(self._build.prefix)))

    def _bare(self, found: Round) -> None:
        if self._first:
            say("ours without bytecode")
            with fresh_site(self._scene) as site:
                found.bare.append(site.ours(self._build.bundle, bytecode=False))

    def _full(self, found: Round) -> None:
        say("ours with bytecode")
        with fresh_site(self._scene) as site:
            found.full.append(site.ours(self._build.bundle, bytecode=True))
            found.ours_left = site.placeholders(str(self._build.prefix))
            for _time in range(SECONDS if self._second else 0):
                found.pings.append(site.ping())
                found.full.append(unchanged(site.ours(self._build.bundle, bytecode=True)))

    # --- figures --------------------------------------------------------------------------------------------------

    def _first_figures(self) -> Iterator[Figure]:
        def beside_naive(of: Callable[[Round], Timed]) -> list[tuple[Timed, Timed]]:
            return [(of(each), each.naive[0]) for each in self._rounds]

        names = ("ours", "naive")
        off, on = beside_naive(lambda each: each.bare[0]), beside_naive(lambda each: each.full[0])
        yield _wall(names, off).figure("first rollout, bytecode off", 0.45)
        yield _cpu(names, off).figure("first rollout, bytecode off, CPU of all")
        yield _wall(names, on).figure("first rollout, bytecode on")
        with_it, without = ([ours.host_cpu / self._scene.hosts for ours, _naive in pairs] for pairs in (on, off))
        yield Figure(
            "bytecode, CPU of a host",
            f"{statistics.median(with_it) - statistics.median(without):.1f} s",
            detail=f"first rollout with {summary(with_it, 's')}, without {summary(without, 's')}",
        )

    def _second_figures(self) -> Iterator[Figure]:
        naive = [(second, each.naive[1]) for each in self._rounds for second in each.full[1:]]
        pings = [pair for each in self._rounds for pair in zip(each.full[1:], each.pings, strict=True)]
        yield _wall(("ours", "naive"), naive).figure("second run", 0.15)
        yield _wall(("ours", "ping"), pings).figure("second run, beside a ping", 1.5)
        yield _cpu(("ours", "ping"), pings).figure("second run, beside a ping, CPU of all")
        last = self._rounds[-1]
        yield Figure(
            "files with a placeholder",
            f"{last.ours_left}",
            "0",
            last.ours_left == 0,
            f"naive: {last.left[0]} after its first run, {last.left[1]} after its second,"
            f" which says changed={last.naive[1].changed // self._scene.hosts} and would say so for ever",
        )


def _wall(names: tuple[str, str], pairs: list[tuple[Timed, Timed]]) -> Pairs:
    return Pairs(names, "s", [(one.seconds, other.seconds) for one, other in pairs])


def _cpu(names: tuple[str, str], pairs: list[tuple[Timed, Timed]]) -> Pairs:
    return Pairs(names, "s", [(one.cpu, other.cpu) for one, other in pairs])
