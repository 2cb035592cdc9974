# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults done to real hosts: what is live stays whole, and the next run ends what was begun.

The kill points are found by watching an upgrade and a rollback: every named step that changes something, and moments
spread over the time that it takes. C(make test) tries a share of them, C(make test-faults) all.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from world.fleet import Fleet, HostSpec
from world.victim import ENVS, HERE, Bundle, Fields, Tally, Victim, make_pair

#: Of the kill points one in so many; 1 for all.
SHARE = int(os.environ.get("AIRGAP_FAULTS_SHARE", "6"))
#: Moments of an upgrade, and of a rollback.
MOMENTS = 24

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a fleet needs Linux and root; run the suite as root"
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One host in memory for what is done often, one with a disk for a reboot, one with a small /srv."""
    hosts = [
        HostSpec("quick", "bullseye", storage="tmpfs"),
        HostSpec("disk", "bookworm"),
        HostSpec("narrow", "trixie", storage="tmpfs", volumes={"/srv": "size=400m,mode=755"}),
    ]
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts) as started:
        yield started


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_pair(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def victim(fleet: Fleet, pair: dict[str, Bundle]) -> Victim:
    """The quick host, with both generations and the new one live."""
    victim = Victim(fleet.host("quick"), pair)
    for name in ("old", "new"):
        assert victim.deploy(name)["changed"]
    return victim


def share(points: Sequence[Any]) -> Sequence[Any]:
    """One in SHARE of the points."""
    return points[::SHARE]


def occurrences(counts: dict[str, int]) -> list[tuple[str, int]]:
    """The first, the second, a middle and the last time of each step."""
    return [
        (step, time) for step, times in counts.items() for time in sorted({1, min(2, times), times // 2 or 1, times})
    ]


def remake(victim: Victim) -> tuple[str, str]:
    """Make an upgrade necessary that has to make its tree: drop the kept generation. Return what is live and is not."""
    live = victim.holds(victim.live())
    victim.host.run(f"rm -rf {ENVS}/.airgap/small/generations/*")
    victim.deploy(live)
    return live, other_than(live)


def other_than(name: str) -> str:
    return "old" if name == "new" else "new"


# --- kill -9 --------------------------------------------------------------------------------------------------------


def test_an_upgrade_that_is_killed_anywhere(victim: Victim, tally: Tally) -> None:
    ends = set()
    faults = kill_points(lambda: victim.deploy(remake(victim)[1]))
    assert len(faults) >= 40 + MOMENTS, faults
    for fault in share(faults):
        with tally.attempt(f"upgrade killed {how(fault)}"):
            ends.add(upgrade_killed(victim, fault))
    assert ends == {"old", "new"} or SHARE > 1


def kill_points(work: Callable[[], Fields]) -> list[Fields]:
    """The steps that *work* takes in either direction, and moments of its time."""
    there, back = work(), work()
    both = {step: min(times, back["steps"].get(step, 0)) for step, times in there["steps"].items()}
    moments = [there["seconds"] * (number + 0.5) / MOMENTS for number in range(MOMENTS)]
    return [{"step": step} for step in occurrences(both)] + [{"seconds": seconds} for seconds in moments]


def how(fault: Fields) -> str:
    return "before a step" if "step" in fault else "at a moment"


def upgrade_killed(victim: Victim, fault: Fields) -> str:
    """Kill an upgrade and have the next run end it; return whether the old or the new was live meanwhile."""
    live, other = remake(victim)
    told = victim.deploy(other, **fault)
    found = victim.holds(victim.live())
    assert told.get("killed") or "seconds" in fault, fault
    left = victim.check()["left"]
    ended = victim.deploy(other)
    assert "error" not in ended, (fault, ended)
    if any(each == "staging" for each in left):
        assert ended["environments"][0]["recovered"], fault
    victim.assert_settled(other)
    return "old" if found == live else "new"


def test_a_rollback_that_is_killed_anywhere(victim: Victim, tally: Tally) -> None:
    victim.deploy(remake(victim)[1])
    faults = kill_points(lambda: victim.back(other_than(victim.holds(victim.live()))))
    assert len(faults) >= 10 + MOMENTS, faults
    for fault in share(faults):
        with tally.attempt(f"rollback killed {how(fault)}"):
            rollback_killed(victim, fault)


def rollback_killed(victim: Victim, fault: Fields) -> None:
    other = other_than(victim.holds(victim.live()))
    told = victim.back(other, **fault)
    assert told.get("killed") or "seconds" in fault, fault
    victim.live()
    ended = victim.back(other)
    assert "error" not in ended, (fault, ended)
    again = victim.back(other)
    assert (again["changed"], again["environments"][0]["recovered"]) == (False, []), (fault, again)
    victim.assert_settled(other)


# --- what the system does -------------------------------------------------------------------------------------------


@pytest.fixture
def narrow(fleet: Fleet, pair: dict[str, Bundle]) -> Iterator[Victim]:
    victim = Victim(fleet.host("narrow"), pair)
    assert victim.deploy("old")["changed"]
    yield victim
    victim.host.run("mount -o remount,rw /srv; rm -rf /srv/*")


#: Steps of an upgrade that are far apart.
FAR_APART = ("append", "_make_directory", "write", "write_receipt", "renameat2", "record_switch")


#: What makes a disk take no more, and what undoes that.
REFUSALS = {
    "full disk": ("dd if=/dev/zero of=/srv/filler bs=64k 2>/dev/null", "rm -f /srv/filler"),
    "read-only file system": ("mount -o remount,ro /srv", "mount -o remount,rw /srv"),
}


@pytest.mark.parametrize("step", FAR_APART)
@pytest.mark.parametrize("kind", REFUSALS)
def test_a_disk_that_takes_no_more(narrow: Victim, tally: Tally, step: str, kind: str) -> None:
    command, undo = REFUSALS[kind]

    with tally.attempt(kind):
        watched = narrow.deploy("new")
        point = next((name, 1) for name in watched["steps"] if step in name)
        remake_old(narrow)
        told = narrow.deploy("new", step=point, command=command)
        found = narrow.holds(narrow.live())
        assert found == "new" or "error" in told
        narrow.host.run(undo)
        ended = narrow.deploy("new")
        assert "error" not in ended, ended
        narrow.assert_settled("new")


def remake_old(victim: Victim) -> None:
    """Have the old one live and nothing kept, so that an upgrade has to make its tree."""
    assert victim.deploy("old")["changed"]
    remake(victim)


def test_a_reboot_in_the_middle(fleet: Fleet, pair: dict[str, Bundle], tally: Tally) -> None:
    victim = Victim(fleet.host("disk"), pair)
    assert victim.deploy("old")["changed"]
    watched = victim.deploy("new")
    names = [name for step in FAR_APART for name in watched["steps"] if step in name]
    for name in share(names):
        with tally.attempt("host reset"):
            rebooted(victim, name)


def rebooted(victim: Victim, name: str) -> None:
    _live, other = remake(victim)
    marker = victim.host.root / HERE[1:] / "reached"
    marker.unlink(missing_ok=True)
    # Waits there until the power goes.
    plan = {"step": (name, 1), "command": f"touch {HERE}/reached; sleep 60"}
    thread = threading.Thread(target=lambda: victim.deploy(other, **plan), daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not marker.exists():
        assert time.monotonic() < deadline, name
        time.sleep(0.05)
    victim.host.crash()
    victim.host.await_sshd()
    thread.join(timeout=60)
    victim.live()
    ended = victim.deploy(other)
    assert "error" not in ended, (name, ended)
    victim.assert_settled(other)
