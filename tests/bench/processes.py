# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of processes: whose children they are, the CPU time and the memory they took."""

from __future__ import annotations

import abc
import ctypes
import os
import resource
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
#: Of prctl(2).
_SET_CHILD_SUBREAPER = 36
#: What there is no process for any more.
_GONE = (FileNotFoundError, ProcessLookupError)


def children(pid: int) -> list[int]:
    """The processes that *pid* started and that are still there."""
    found: list[int] = []
    with suppress(*_GONE):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(*_GONE):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def tree(pid: int) -> list[int]:
    """*pid* and all that descend from it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def cpu_seconds(pid: int) -> float:
    """The CPU time of *pid* and all below it, those included that ended and were waited for."""
    ticks = 0
    for each in tree(pid):
        with suppress(*_GONE):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def cpu_of_children() -> float:
    """The CPU time of all that this process started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def adopt() -> None:
    """From now on, what is started below this process and outlives its parent becomes a child of this process."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def wait_for(orphans: set[int]) -> None:
    """Return when these children have ended; only then is their CPU time known."""
    for orphan in orphans:
        with suppress(ChildProcessError):
            os.waitpid(orphan, 0)


def busy(seconds: float = 1.0) -> float:
    """The share of this machine that is in use for the next *seconds*, from 0 to 1."""
    before, idle_before = _machine_ticks()
    time.sleep(seconds)
    after, idle_after = _machine_ticks()
    return 1 - (idle_after - idle_before) / (after - before)


def _machine_ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    # user, nice, system, idle, iowait, irq, softirq, steal
    return sum(fields), fields[3] + fields[4]


class _Watch(threading.Thread, abc.ABC):
    """While its block runs, looks from time to time at what this process started meanwhile."""

    _INTERVAL: float

    def __init__(self) -> None:
        super().__init__(daemon=True)
        #: Bytes in memory, at the most.
        self.peak = 0
        self._before = set(children(os.getpid()))
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._INTERVAL):
            self.peak = max(self.peak, self._look(set(children(os.getpid())) - self._before))

    @abc.abstractmethod
    def _look(self, programs: set[int]) -> int:
        """Return the bytes that *programs* have now."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._over.set()
        self.join()


class Forks(_Watch):
    """The largest fork of any program."""

    _INTERVAL = 0.02

    def _look(self, programs: set[int]) -> int:
        forks = (fork for program in programs for fork in children(program))
        return max((_bytes(fork, "status", "VmHWM:") for fork in forks), default=0)


class Memory(_Watch):
    """All together; what several share is counted once. It takes some CPU time to know."""

    _INTERVAL = 0.5

    def _look(self, programs: set[int]) -> int:
        return sum(_bytes(each, "smaps_rollup", "Pss:") for program in programs for each in tree(program))


def _bytes(pid: int, file: str, name: str) -> int:
    with suppress(*_GONE):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0
