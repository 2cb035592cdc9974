# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the benchmark: what was asked for, one after the other, each in bounded time; then the table."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

import ansible.release
from world.process import WorldError, say

from bench import builds, drifts, packing, rollbacks, sizes, updates, upgrades
from bench.figures import Figure, table
from bench.processes import busy
from bench.rollouts import Rollouts

PARTS = ("rollout", "second", "update", "upgrade", "rollback", "size", "memory", "pack", "drift")
#: Only when asked for, with many hosts.
FLEET = "fleet"

#: Seconds in which all has ended.
LIMIT = 20 * 60
#: Seconds for each: the builds, the large bundle, packing, a round of rollouts, the update, the upgrade, the rollbacks,
#: the sizes, each part of drift.
BUILD, LARGE, PACKING, ROUND, UPDATE, UPGRADE, ROLLBACKS, SIZES, DRIFT = 240, 300, 100, 420, 420, 200, 300, 300, 300
#: And for many hosts.
MANY = 600

_Result = TypeVar("_Result")

_NOTE = """\
Both playbooks: the same hosts, freshly started for each first rollout; as many forks as hosts; Ansible's default ssh
arguments; no facts; every run opens its own connections. Measured is the median ratio of runs back to back. All hosts
share the cores of this machine; with --storage tmpfs (the default) they write to memory, as one disk for all of them
would measure that disk."""


class Overtime(Exception):
    """A step took more than it may."""


class Agenda:
    """Steps, each in bounded time; one that fails does not keep the next from being run."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._end = time.monotonic() + LIMIT

    @property
    def left(self) -> float:
        """Seconds for all that is still to be done."""
        return self._end - time.monotonic()

    def attempt(self, name: str, limit: float, step: Callable[[], _Result]) -> _Result | None:
        """Return what *step* returns, or None when it did not run."""
        try:
            with _within(min(limit, self.left)):
                say(f"{name}; {busy():.0%} of the machine is in use by others")
                return step()
        except (WorldError, Overtime) as error:
            self.failures.append(f"{name} did not run: {error}")
            return None


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; 1 when something did not run."""
    given = _arguments(words)
    signal.signal(signal.SIGTERM, _end)
    print(machine(given), flush=True)
    agenda = Agenda()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        build = agenda.attempt("build", BUILD, lambda: builds.make(Path(directory)))
        figures = _measure(agenda, build, given) if build else []
    print(table(figures), _NOTE, *agenda.failures, sep="\n\n", flush=True)
    return 1 if agenda.failures else 0


def _measure(agenda: Agenda, build: builds.Build, given: argparse.Namespace) -> list[Figure]:
    first, second, update, upgrade, back, size, memory, pack, drift = (part in given.only for part in PARTS)
    where = (given.hosts, given.storage)
    rollouts = Rollouts(build, *where, first=first, second=second)
    packed, updated, many, upgraded, went_back, sized = None, None, None, None, None, None
    drifted: list[list[Figure] | None] = []
    if pack:
        packed = agenda.attempt("packing", PACKING, lambda: packing.measure(build))
    if first or second:
        agenda.attempt("rollouts", ROUND, rollouts.round)
    if update:
        updated = agenda.attempt("update", UPDATE, lambda: updates.measure(build, *where))
    if FLEET in given.only:
        many = agenda.attempt("fleet", MANY, lambda: updates.measure_fleet(build, *where))
    if upgrade:
        upgraded = agenda.attempt("upgrade", UPGRADE, lambda: upgrades.measure(build, given.storage))
    if back or size or memory or drift:
        agenda.attempt("the large bundle", LARGE, build.enlarged)
    if back:
        went_back = agenda.attempt("rollbacks", ROLLBACKS, lambda: rollbacks.measure(build, *where))
    if size or memory:
        sized = agenda.attempt("sizes", SIZES, lambda: sizes.measure(build, *where, size=size, memory=memory))
    if drift:
        drifted = [
            agenda.attempt("drift on a host", DRIFT, lambda: drifts.on_host(build, given.storage)),
            agenda.attempt("drift of the fleet", DRIFT, lambda: drifts.of_fleet(build, *where)),
            agenda.attempt("the page of drift", DRIFT, drifts.page),
        ]
    if rollouts.took and agenda.left > 1.3 * rollouts.took:
        agenda.attempt("rollouts again", ROUND, rollouts.round)
    parts = (updated, many, upgraded, went_back, sized, packed, *drifted)
    return [*rollouts.figures(), *(figure for figures in parts for figure in figures or ())]


def machine(given: argparse.Namespace) -> str:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.machine()}, Linux {platform.release()}; Python"
        f" {platform.python_version()}, ansible-core {ansible.release.__version__}; {given.hosts} hosts on"
        f" {given.storage}; load {os.getloadavg()[0]:.1f}"
    )


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise C(Overtime) in the block when it takes longer."""

    def over(_number: int, _frame: object) -> NoReturn:
        raise Overtime(f"it took more than {seconds:.0f} s; use a quieter machine or fewer hosts")

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _end(number: int, _frame: object) -> NoReturn:
    """Let the blocks that are open clean up."""
    sys.exit(f"ended by {signal.Signals(number).name}")


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What a rollout costs. Takes some minutes.")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)} (default: all)")
    parser.add_argument("--hosts", type=int, default=8, help="how many (default: %(default)s)")
    parser.add_argument("--storage", choices=("tmpfs", "disk"), default="tmpfs", help="what they write to")
    return parser.parse_args(words)


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - {*PARTS, FLEET}:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join((*PARTS, FLEET))}")
    return parts
