# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults done to real hosts: what is live stays whole, and the next run ends what was begun.

The kill points are found by watching an upgrade and a rollback: every named step that changes something, and moments
spread over the time that it takes. C(make test) tries a share of them, C(make test-faults) all.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Shelf
from world import bundles, fault_driver, receipt_check
from world.fleet import Fleet, Host, HostSpec

#: Of the kill points one in so many; 1 for all.
SHARE = int(os.environ.get("AIRGAP_FAULTS_SHARE", "6"))
#: Moments of an upgrade, and of a rollback.
MOMENTS = 24
ENVS = "/srv/envs"
HERE = "/root/faults"

Fields = dict[str, Any]

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
    """Two bundles of one environment."""
    cache = tmp_path_factory.mktemp("cache")
    return {
        name: Bundle(name, bundles.ensure(spec), cache)
        for name, spec in (("old", bundles.SMALL_EARLIER), ("new", bundles.SMALL))
    }


class Bundle:
    """A bundle that lies on a host already, for the driver to hand on."""

    def __init__(self, name: str, path: Path, cache: Path) -> None:
        self.path = path
        found = Shelf(str(cache)).bundle(str(path))
        self.offer = {found.manifest.needs.platform: found.offer()}
        self.content_id = found.manifest.content_id
        self.files = [f"{HERE}/{name}/{os.path.basename(path)}" for _kind, path, _piece in found.pieces()]


class Victim:
    """An environment of a host to which faults are done."""

    def __init__(self, host: Host, pair: dict[str, Bundle]) -> None:
        self.host = host
        self._pair = pair
        utils = Path(__file__).parents[2] / "plugins/module_utils"
        host.push(utils, f"{HERE}/ansible_collections/airgap/conda/plugins/module_utils")
        host.push(Path(fault_driver.__file__), f"{HERE}/driver.py")
        host.push(Path(receipt_check.__file__), f"{HERE}/receipt_check.py")
        for name, bundle in pair.items():
            host.push(bundle.path, f"{HERE}/{name}")

    def deploy(self, name: str, **fault: Any) -> Fields:
        """Bring a bundle to the host, as far as the fault lets it."""
        register = {"users": ["root"], "profile": True, "frozen": True, "commands": ["clear"]}
        order = {
            "name": "small",
            "envs_dir": ENVS,
            "state": "present",
            "offers": self._pair[name].offer,
            "verify": "quick",
            "bytecode": True,
            "health": {"commands": [f"test -d {ENVS}/small/lib"]},
            "register": register,
            "keep": 2,
        }
        return self._drive({"order": order, "bundle": self._pair[name].files, **fault})

    def back(self, to: str, **fault: Any) -> Fields:
        """Have the generation of that bundle live."""
        request = {"name": "small", "envs_dir": ENVS, "to": self._pair[to].content_id, "force": False}
        return self._drive({"request": request, "bundle": self._pair[to].files, **fault})

    def _drive(self, plan: Fields) -> Fields:
        (self.host.root / HERE[1:] / "plan.json").write_text(json.dumps(plan))
        done = self.host.run(f"python3 {HERE}/driver.py < {HERE}/plan.json", check=False, timeout=300)
        if done.returncode:
            # The shell that waits for a killed one says 128 + 9.
            assert done.returncode in (137, -9), done.stderr
            return {"killed": True}
        told: Fields = json.loads(done.stdout.splitlines()[-1])
        return told

    def check(self) -> Fields:
        """Compare every file with every receipt."""
        told: Fields = json.loads(self.host.run(f"python3 {HERE}/receipt_check.py {ENVS} small").stdout)
        return told

    def live(self) -> str:
        """The one generation that the live tree is, to the last file."""
        told = self.check()
        assert len(told["trees"]["live"]) == 1, told
        (generation,) = told["trees"]["live"]
        assert self.host.run(f"cat {ENVS}/small/conda-meta/airgap-generation").stdout.strip() == generation
        return str(generation)

    def holds(self, generation: str) -> str:
        """Which bundle a generation is of."""
        return next(name for name, each in self._pair.items() if generation.endswith(each.content_id[:12]))

    def assert_settled(self, name: str) -> None:
        """Live is that bundle, every tree is what its name says, and nothing is left or to be done."""
        told = self.check()
        live = self.live()
        assert self.holds(live) == name
        assert told["left"] == [], told
        for place, matches in told["trees"].items():
            assert place == "live" or matches == [place], told
        again = self.deploy(name)
        assert (again.get("changed"), again["environments"][0]["recovered"]) == (False, []), again


@pytest.fixture(scope="module")
def victim(fleet: Fleet, pair: dict[str, Bundle]) -> Victim:
    """The quick host, with both generations and the new one live."""
    victim = Victim(fleet.host("quick"), pair)
    for name in ("old", "new"):
        assert victim.deploy(name)["changed"]
    return victim


class Tally:
    """How many faults were tried, and survived: printed when the suite ends."""

    def __init__(self) -> None:
        self.tried: dict[str, int] = {}
        self.survived: dict[str, int] = {}

    def attempt(self, kind: str, work: Callable[[], object]) -> None:
        self.tried[kind] = self.tried.get(kind, 0) + 1
        work()
        self.survived[kind] = self.survived.get(kind, 0) + 1


@pytest.fixture(scope="module")
def tally(pytestconfig: pytest.Config) -> Iterator[Tally]:
    tally = Tally()
    yield tally
    lines = [f"{kind}: {tally.survived.get(kind, 0)} of {tried} survived" for kind, tried in tally.tried.items()]
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\nfaults:", "; ".join(lines))


def share(points: Sequence[Any]) -> Sequence[Any]:
    """One in SHARE of the points, other ones each day, so that in a week all had their turn."""
    return points[int(time.time() / 86400) % SHARE :: SHARE]


def occurrences(counts: dict[str, int]) -> list[tuple[str, int]]:
    """The first, the second, a middle and the last time of each step."""
    return [
        (step, time) for step, times in counts.items() for time in sorted({1, min(2, times), times // 2 or 1, times})
    ]


def remake(victim: Victim) -> tuple[str, str]:
    """Make an upgrade necessary that has to make its tree: drop the kept generation. Return what is live and is not."""
    live = victim.holds(victim.live())
    other = "old" if live == "new" else "new"
    victim.host.run(f"rm -rf {ENVS}/.airgap/small/generations/*")
    victim.deploy(live)
    return live, other


# --- kill -9 --------------------------------------------------------------------------------------------------------


def test_an_upgrade_that_is_killed_anywhere(victim: Victim, tally: Tally) -> None:
    _live, other = remake(victim)
    watched = victim.deploy(other)
    steps = occurrences(watched["steps"])
    assert len(steps) >= 40, steps
    moments = [watched["seconds"] * (number + 0.5) / MOMENTS for number in range(MOMENTS)]
    faults = [{"step": step} for step in steps] + [{"seconds": seconds} for seconds in moments]
    ends = set()
    for fault in share(faults):
        kind = f"upgrade killed at a {next(iter(fault)).replace('seconds', 'moment')}"
        tally.attempt(kind, lambda fault=fault: ends.add(upgrade_killed(victim, fault)))
    assert ends == {"old", "new"} or SHARE > 1


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
    live, other = remake(victim)
    victim.deploy(other)
    watched = victim.back(live)
    steps = occurrences(watched["steps"])
    moments = [watched["seconds"] * (number + 0.5) / MOMENTS for number in range(MOMENTS)]
    faults = [{"step": step} for step in steps] + [{"seconds": seconds} for seconds in moments]
    assert len(faults) >= 40, steps
    for fault in share(faults):
        kind = f"rollback killed at a {next(iter(fault)).replace('seconds', 'moment')}"
        tally.attempt(kind, lambda fault=fault: rollback_killed(victim, fault))


def rollback_killed(victim: Victim, fault: Fields) -> None:
    live = victim.holds(victim.live())
    other = "old" if live == "new" else "new"
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


@pytest.mark.parametrize("step", FAR_APART)
@pytest.mark.parametrize(
    ("kind", "command", "undo"),
    [
        ("full disk", "dd if=/dev/zero of=/srv/filler bs=64k 2>/dev/null", "rm -f /srv/filler"),
        ("read-only remount", "mount -o remount,ro /srv", "mount -o remount,rw /srv"),
    ],
)
def test_a_disk_that_takes_no_more(narrow: Victim, tally: Tally, step: str, kind: str, command: str, undo: str) -> None:
    def attempt() -> None:
        watched = narrow.deploy("new")
        point = next((name, 1) for name in watched["steps"] if step in name)
        remake_old(narrow)
        before = narrow.live()
        told = narrow.deploy("new", step=point, command=command)
        assert narrow.holds(narrow.live()) in ("old", "new")
        narrow.host.run(undo)
        if "error" in told and narrow.live() == before:
            assert narrow.holds(before) == "old"
        ended = narrow.deploy("new")
        assert "error" not in ended, ended
        narrow.assert_settled("new")

    tally.attempt(kind, attempt)


def remake_old(victim: Victim) -> None:
    """Have the old one live and nothing kept, so that an upgrade has to make its tree."""
    assert victim.deploy("old")["changed"]
    remake(victim)


def test_a_reboot_in_the_middle(fleet: Fleet, pair: dict[str, Bundle], tally: Tally) -> None:
    victim = Victim(fleet.host("disk"), pair)
    assert victim.deploy("old")["changed"]
    watched = victim.deploy("new")
    names = [name for step in FAR_APART for name in watched["steps"] if step in name][:: 3 if SHARE > 1 else 1]
    for name in names:
        tally.attempt("reboot", lambda name=name: rebooted(victim, name))


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
