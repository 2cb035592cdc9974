# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the benchmark: what was asked for, one after the other, each in bounded time; then the table."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, TypeVar

import ansible.release
from world.process import WorldError, say

from bench import builds, drifts, fleets, packing, rollbacks, sizes, updates, upgrades
from bench.figures import Figure, table
from bench.processes import busy
from bench.rollouts import Rollouts
from bench.sites import Scene

PARTS = ("rollout", "second", "update", "thin", "upgrade", "rollback", "size", "memory", "pack", "drift")
#: Only when asked for, with many hosts.
FLEET = "fleet"
#: What these need is kept by the tests.
UNBUILT = {"update", "thin", FLEET}

#: Seconds in which all has ended.
LIMIT = 30 * 60
#: Seconds for each: the builds, the large bundle, packing, a round of rollouts, an update, the upgrade, the rollbacks,
#: the sizes, each part of drift.
BUILD, LARGE, PACKING, ROUND, UPDATE, UPGRADE, ROLLBACKS, SIZES, DRIFT = 240, 300, 100, 420, 540, 200, 300, 300, 300
#: And for many hosts.
MANY = 18 * 60

_Result = TypeVar("_Result")
#: Its name, the parts it belongs to, seconds for it, and what it does.
Step = tuple[str, set[str], float, Callable[[], list[Figure] | None]]

_NOTE = """\
All contenders: the same hosts, freshly started or wiped for each first rollout; as many forks as hosts, or as said;
Ansible's default ssh arguments; no facts; every run opens its own connections. Measured is the median ratio of runs
back to back. All hosts share the cores of this machine; with --storage tmpfs (the default) they write to memory, as one
disk for all of them would measure that disk. rsync has a tree that is relocated already, and makes no generation."""


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
        except (WorldError, Overtime, subprocess.SubprocessError) as error:
            self.failures.append(f"{name} did not run: {error}")
            return None


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; 1 when something did not run."""
    given = _arguments(words)
    signal.signal(signal.SIGTERM, _end)
    print(machine(given), flush=True)
    agenda = Agenda()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        figures = _measure(agenda, Path(directory), given)
    print(table(figures), _NOTE, *agenda.failures, sep="\n\n", flush=True)
    return 1 if agenda.failures else 0


def _measure(agenda: Agenda, directory: Path, given: argparse.Namespace) -> list[Figure]:
    scene, wanted = Scene(given.hosts, given.storage), set(given.only)
    figures = _attempt(agenda, wanted, _unbuilt(scene, given.rate))
    if not wanted - UNBUILT:
        return figures
    build = agenda.attempt("build", BUILD, lambda: builds.make(directory))
    return [*_measure_built(agenda, build, scene, wanted), *figures] if build else figures


def _measure_built(agenda: Agenda, build: builds.Build, scene: Scene, wanted: set[str]) -> list[Figure]:
    rollouts = Rollouts(build, scene, first="rollout" in wanted, second="second" in wanted)
    figures = _attempt(agenda, wanted, _built(build, scene, rollouts, wanted))
    if rollouts.took and agenda.left > 1.3 * rollouts.took:
        agenda.attempt("rollouts again", ROUND, rollouts.round)
    return [*rollouts.figures(), *figures]


def _attempt(agenda: Agenda, wanted: set[str], steps: Iterable[Step]) -> list[Figure]:
    """The figures of the steps that are wanted."""
    found = [agenda.attempt(name, limit, step) for name, parts, limit, step in steps if parts & wanted]
    return [figure for figures in found for figure in figures or ()]


def _unbuilt(scene: Scene, rate: str) -> Iterator[Step]:
    yield "deltas", {"update"}, UPDATE, updates.deltas
    yield "update", {"update"}, UPDATE, lambda: updates.measure(scene, 1.2)
    yield "update over thin links", {"thin"}, UPDATE, lambda: updates.measure(replace(scene, rate=rate), 1.0)
    yield "fleet", {FLEET}, MANY, lambda: fleets.measure(scene)


def _enlarge(build: builds.Build) -> None:
    """Make what several parts need."""
    build.enlarged()


def _built(build: builds.Build, scene: Scene, rollouts: Rollouts, wanted: set[str]) -> Iterator[Step]:
    size, memory = "size" in wanted, "memory" in wanted
    yield "packing", {"pack"}, PACKING, lambda: packing.measure(build)
    yield "rollouts", {"rollout", "second"}, ROUND, rollouts.round
    yield "upgrade", {"upgrade"}, UPGRADE, lambda: upgrades.measure(build, scene)
    yield "the large bundle", {"rollback", "size", "memory", "drift"}, LARGE, lambda: _enlarge(build)
    yield "rollbacks", {"rollback"}, ROLLBACKS, lambda: rollbacks.measure(build, scene)
    yield "sizes", {"size", "memory"}, SIZES, lambda: sizes.measure(build, scene, size=size, memory=memory)
    yield "drift on a host", {"drift"}, DRIFT, lambda: drifts.on_host(build, scene)
    yield "drift of the fleet", {"drift"}, DRIFT, lambda: drifts.of_fleet(build, scene)
    yield "the page of drift", {"drift"}, DRIFT, drifts.page


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
    parser.add_argument("--rate", default="50mbit", help="of each thin link, as tc reads it (default: %(default)s)")
    return parser.parse_args(words)


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - {*PARTS, FLEET}:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join((*PARTS, FLEET))}")
    return parts
