# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts of the example, ours and the naive one, to fresh hosts and once more to the same."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator

from world.process import say

from bench.builds import Build
from bench.figures import Figure, Pairs, summary
from bench.sites import Timed, fresh_site, unchanged

ROUNDS = 2
#: Second runs beside pings in a round.
SECONDS = 3


@dataclasses.dataclass
class Round:
    """What was measured in a row: each list in the order it was run."""

    naive: list[Timed] = dataclasses.field(default_factory=list)
    bare: list[Timed] = dataclasses.field(default_factory=list)
    #: Our first rollout with bytecode, then second runs.
    full: list[Timed] = dataclasses.field(default_factory=list)
    pings: list[Timed] = dataclasses.field(default_factory=list)
    #: Files with placeholders: naive after each run; ours.
    left: list[int] = dataclasses.field(default_factory=list)
    ours_left: int = 0


class Rollouts:
    """Rounds of rollouts, each with fresh hosts for each contender."""

    def __init__(self, build: Build, hosts: int, *, first: bool, second: bool) -> None:
        self._build = build
        self._hosts = hosts
        self._first = first
        self._second = second
        self._rounds: list[Round] = []

    def measure(self) -> list[Figure]:
        """Run all rounds; every other one in reverse order, as a shared machine drifts."""
        contenders = [self._naive, self._bare, self._full]
        for number in range(ROUNDS):
            found = Round()
            for contender in contenders if number % 2 == 0 else reversed(contenders):
                contender(found)
            self._rounds.append(found)
        return [*(self._first_figures() if self._first else ()), *(self._second_figures() if self._second else ())]

    # --- contenders -----------------------------------------------------------------------------------------------

    def _naive(self, found: Round) -> None:
        say("the naive playbook")
        with fresh_site(self._hosts) as site:
            for _ in range(2 if self._second else 1):
                found.naive.append(site.naive(self._build.archive))
                found.left.append(site.placeholders(str(self._build.prefix)))

    def _bare(self, found: Round) -> None:
        if self._first:
            say("ours without bytecode")
            with fresh_site(self._hosts) as site:
                found.bare.append(site.ours(self._build.bundle, bytecode=False))

    def _full(self, found: Round) -> None:
        say("ours with bytecode")
        with fresh_site(self._hosts) as site:
            found.full.append(site.ours(self._build.bundle, bytecode=True))
            found.ours_left = site.placeholders(str(self._build.prefix))
            for _ in range(SECONDS if self._second else 0):
                found.pings.append(site.ping())
                found.full.append(unchanged(site.ours(self._build.bundle, bytecode=True)))

    # --- figures --------------------------------------------------------------------------------------------------

    def _first_figures(self) -> Iterator[Figure]:
        pairs = [(each.bare[0].seconds, each.naive[0].seconds) for each in self._rounds]
        yield Pairs(("ours", "naive"), "s", pairs).figure("first rollout, bytecode off", 0.45)
        pairs = [(each.full[0].seconds, each.naive[0].seconds) for each in self._rounds]
        yield Pairs(("ours", "naive"), "s", pairs).figure("first rollout, bytecode on")
        contenders = {"off": "bare", "on": "full", "naive": "naive"}
        cpu = {
            name: [getattr(each, runs)[0].host_cpu / self._hosts for each in self._rounds]
            for name, runs in contenders.items()
        }
        detail = ", ".join(f"{name} {summary(values, 's')}" for name, values in cpu.items())
        bytecode = statistics.median(cpu["on"]) - statistics.median(cpu["off"])
        yield Figure("bytecode, CPU of a host", f"{bytecode:.1f} s", detail=f"CPU of a first rollout: {detail}")

    def _second_figures(self) -> Iterator[Figure]:
        pairs = [(second.seconds, each.naive[1].seconds) for each in self._rounds for second in each.full[1:]]
        yield Pairs(("ours", "naive"), "s", pairs).figure("second run", 0.15)
        pairs = [
            (second.seconds, ping.seconds)
            for each in self._rounds
            for second, ping in zip(each.full[1:], each.pings, strict=True)
        ]
        yield Pairs(("ours", "ping"), "s", pairs).figure("second run, beside a ping", 1.5)
        last = self._rounds[-1]
        yield Figure(
            "placeholders, naive",
            f"{last.left[0]} -> {last.left[1]}",
            detail="files that hold one after its first and its second run, of which Ansible says"
            f" changed={last.naive[1].changed // self._hosts}",
        )
        yield Figure("placeholders, ours", f"{last.ours_left}", "0", last.ours_left == 0)
