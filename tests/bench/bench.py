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

from bench import builds, packing, sizes
from bench.figures import Figure, table
from bench.processes import busy
from bench.rollouts import Rollouts

PARTS = ("rollout", "second", "size", "pack", "memory")

#: Seconds in which all has ended, and one step at most.
LIMIT = 14 * 60
STEP = 10 * 60

_Result = TypeVar("_Result")

_NOTE = """\
Both playbooks: the same hosts, freshly started for each first rollout; as many forks as hosts; Ansible's default ssh
arguments; no facts; every run opens its own connections. Ratios are of runs back to back, `figure` is their median."""


class Overtime(Exception):
    """A step took more than it may."""


class Agenda:
    """Steps, each in bounded time; one that fails does not keep the next from being run."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.failures: list[str] = []
        self._end = time.monotonic() + LIMIT

    def measure(self, name: str, measure: Callable[[], list[Figure]]) -> None:
        """Take in the figures of *measure*."""
        self.figures += self.attempt(name, measure) or []

    def attempt(self, name: str, step: Callable[[], _Result]) -> _Result | None:
        """Return what *step* returns, or None when it did not run."""
        try:
            with _within(min(STEP, self._end - time.monotonic())):
                say(f"{name}; {busy():.0%} of the machine is in use by others")
                return step()
        except (WorldError, Overtime) as error:
            self.failures.append(f"{name} did not run: {error}")
            return None


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; 1 when something did not run."""
    given = _arguments(words)
    signal.signal(signal.SIGTERM, _end)
    print(machine(given.hosts), flush=True)
    agenda = Agenda()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        build = agenda.attempt("build", lambda: builds.make(Path(directory)))
        for name, measure in _steps(given.only, given.hosts, build) if build else ():
            agenda.measure(name, measure)
    print(table(agenda.figures), _NOTE, *agenda.failures, sep="\n\n", flush=True)
    return 1 if agenda.failures else 0


def machine(hosts: int) -> str:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.machine()}, Linux {platform.release()}; Python"
        f" {platform.python_version()}, ansible-core {ansible.release.__version__}; {hosts} hosts"
    )


def _steps(only: Sequence[str], hosts: int, build: builds.Build) -> Iterator[tuple[str, Callable[[], list[Figure]]]]:
    first, second, size, memory = (part in only for part in ("rollout", "second", "size", "memory"))
    if "pack" in only:
        yield "packing", lambda: packing.measure(build)
    if first or second:
        yield "rollouts", Rollouts(build, hosts, first=first, second=second).measure
    # The last one changes the build.
    if size or memory:
        yield "sizes", lambda: sizes.measure(build, hosts, size=size, memory=memory)


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


def _end(_number: int, _frame: object) -> NoReturn:
    """Let the blocks that are open clean up."""
    sys.exit(143)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What a rollout costs. Takes some minutes.")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)} (default: all)")
    parser.add_argument("--hosts", type=int, default=8, help="how many (default: %(default)s)")
    return parser.parse_args(words)


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    return parts
