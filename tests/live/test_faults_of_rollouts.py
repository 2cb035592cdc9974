# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults done to whole rollouts: cables, other rollouts, and what other users put in the way."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from world.ansible import Play
from world.controller import Controller
from world.fleet import Fleet, HostSpec
from world.victim import ENVS, Bundle, Tally, Victim, make_pair

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a fleet needs Linux and root; run the suite as root"
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), [HostSpec("disk", "bookworm")]) as started:
        yield started


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_pair(tmp_path_factory.mktemp("cache"))


#: Connections of their own, that notice when nobody answers.
FRESH = "-o ControlMaster=no -o ControlPath=none -o ServerAliveInterval=1 -o ServerAliveCountMax=3"


@pytest.fixture
def disk(fleet: Fleet, pair: dict[str, Bundle]) -> Iterator[Victim]:
    """The host with a disk, empty."""
    victim = Victim(fleet.host("disk"), pair)
    victim.host.run(f"rm -rf {ENVS}; mkdir -p {ENVS}")
    yield victim
    victim.host.run(f"rm -rf {ENVS}")


@pytest.fixture
def controller(fleet: Fleet, tmp_path: Path) -> Controller:
    return Controller(fleet, tmp_path)


def rollout(controller: Controller, bundle: Path, *words: str) -> Play:
    return controller.rollout(bundle, "-l", "disk", "-e", f"env_deploy_envs_dir={ENVS}", *words)


def health(command: str, timeout: int = 60) -> str:
    """A check that environments without Python pass."""
    return json.dumps({"env_deploy_health": {"commands": [command], "timeout": timeout}})


def assert_new_is_settled(victim: Victim, controller: Controller, pair: dict[str, Bundle]) -> None:
    """Live is the new one to the last file, and nothing is left or to be done."""
    again = rollout(controller, pair["new"].path, "-e", health("true"))
    assert again.rc == 0 and again.changed == 0, again.output
    assert victim.holds(victim.live()) == "new"
    assert victim.check()["left"] == []


def soon(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.01)


def test_the_cable_is_pulled_while_the_archive_is_sent(
    disk: Victim, controller: Controller, example: Path, earlier: Path, tally: Tally
) -> None:
    host = disk.host
    # A controller that does not know what is live there sends the whole archive.
    assert rollout(controller, earlier).rc == 0
    shutil.rmtree(controller.directory / ".cache/airgap-conda")
    marker = f"{ENVS}/my_env/conda-meta/airgap-generation"
    before = host.run(f"cat {marker}").stdout
    size = (example / "archive.tar.zst").stat().st_size

    with tally.attempt("cable pulled"):
        started = host.interface_bytes()[0]

        def pull() -> None:
            soon(lambda: host.interface_bytes()[0] - started > size / 3)
            host.cut()

        puller = threading.Thread(target=pull)
        puller.start()
        try:
            cut = rollout(controller, example, "-e", json.dumps({"ansible_ssh_args": FRESH}), "--timeout", "3")
            puller.join()
        finally:
            host.mend()
        assert cut.rc != 0 and cut.changed == 0, cut.output
        assert host.run(f"cat {marker}").stdout == before
        again = rollout(controller, example)
        assert again.rc == 0 and again.changed == 1, again.output
        told = disk.receipts("my_env")
        assert told["trees"]["live"] == [host.run(f"cat {marker}").stdout.strip()] and told["left"] == [], told


def test_two_rollouts_at_once(disk: Victim, controller: Controller, pair: dict[str, Bundle], tally: Tally) -> None:
    check = health("true")
    assert rollout(controller, pair["old"].path, "-e", check).rc == 0

    with tally.attempt("two rollouts at once"):
        plays: dict[str, Play] = {}

        def work(name: str) -> None:
            plays[name] = rollout(controller, pair[name].path, "-e", check)

        threads = [threading.Thread(target=work, args=(name,)) for name in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {play.rc for play in plays.values()} == {0}, [play.output for play in plays.values()]
        told = disk.check()
        assert len(told["trees"]["live"]) == 1 and told["left"] == [], told


def test_the_holder_of_the_lock_is_named(
    disk: Victim, controller: Controller, pair: dict[str, Bundle], tally: Tally
) -> None:
    check = health("true")
    assert rollout(controller, pair["old"].path, "-e", check).rc == 0
    marker, let_go = f"{ENVS}/held", f"{ENVS}/let-go"
    slow = health(f"touch {marker}; while [ ! -e {let_go} ]; do sleep 0.1; done", timeout=600)
    first: list[Play] = []
    holder = threading.Thread(target=lambda: first.append(rollout(controller, pair["new"].path, "-e", slow)))

    with tally.attempt("two rollouts at once"):
        holder.start()
        soon((disk.host.root / marker[1:]).exists)
        second = rollout(controller, pair["old"].path, "-e", check, "-e", "env_deploy_verify=full")
        # What it wants is live still, so it needs no lock.
        assert second.rc == 0 and second.changed == 0, second.output
        third = rollout(controller, pair["new"].path, "-e", check)
        assert third.rc != 0 and "another run works on /srv/envs/small (process " in third.output, third.output
        disk.host.run(f"touch {let_go}")
        holder.join()
        assert first[0].rc == 0, first[0].output
        assert_new_is_settled(disk, controller, pair)


def test_a_rollout_whose_module_is_killed(
    disk: Victim, controller: Controller, pair: dict[str, Bundle], tally: Tally
) -> None:
    check = health("true")
    assert rollout(controller, pair["old"].path, "-e", check).rc == 0
    held = f"{ENVS}/held"
    slow = health(f"touch {held}; sleep 60")

    with tally.attempt("module of a rollout killed"):

        def kill() -> None:
            soon((disk.host.root / held[1:]).exists)
            disk.host.run(f"kill -9 $(sed 's/process \\([0-9]*\\).*/\\1/' {ENVS}/.airgap/small/lock)")

        killer = threading.Thread(target=kill)
        killer.start()
        killed = rollout(controller, pair["new"].path, "-e", slow)
        killer.join()
        assert killed.rc != 0, killed.output
        assert disk.holds(disk.live()) == "old"
        again = rollout(controller, pair["new"].path, "-e", check)
        assert again.rc == 0 and again.changed == 1, again.output
        assert_new_is_settled(disk, controller, pair)


# --- other users ----------------------------------------------------------------------------------------------------

#: What a user may plant in a directory where all may write: script, and what is said about it.
PLANTED = {
    "a link at the prefix": ("ln -s /home/plain/mine small", "exists and was not deployed by airgap.conda"),
    "a link to an environment": ("cp -a /opt/theirs mine; ln -s mine small", "exists and was not deployed"),
    "a link in the place of the store": (
        "mkdir -p .airgap; ln -s /home/plain/mine .airgap/small",
        "belongs to another",
    ),
    "a link in the place of all stores": ("ln -s /home/plain/mine .airgap", "is no directory"),
    "a store": ("mkdir -p .airgap/small/receipts .airgap/small/generations", "belongs to another user"),
    "a file at the prefix": ("echo mine > small", "exists and was not deployed by airgap.conda"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_another_user_planted_leads_nowhere(planted: str, disk: Victim, tally: Tally) -> None:
    script, sentence = PLANTED[planted]
    host = disk.host
    host.run(f"chmod 1777 {ENVS}; rm -rf /home/plain/mine /opt/theirs")
    host.run("mkdir -p /home/plain/mine && echo mine > /home/plain/mine/file", user="plain")
    host.run("mkdir -p /opt/theirs/conda-meta && echo 0001-0123456789ab > /opt/theirs/conda-meta/airgap-generation")
    host.run(f"cd {ENVS}; {script}", user="plain")
    look = f"ls -lR {ENVS} /home/plain /opt/theirs; find {ENVS} /home/plain -user root"
    before = host.run(look).stdout

    with tally.attempt("planted by another user"):
        assert sentence in disk.deploy("new")["error"]
        assert host.run(look).stdout == before


def test_a_users_own_store_is_not_roots(
    disk: Victim, controller: Controller, pair: dict[str, Bundle], tally: Tally
) -> None:
    envs = "/home/plain/envs"
    check = ("-e", health("true"), "-e", f"env_deploy_envs_dir={envs}")
    assert controller.rollout(pair["old"].path, "-l", "disk", *check, "-e", "ansible_user=plain").rc == 0

    with tally.attempt("planted by another user"):
        refused = controller.rollout(pair["new"].path, "-l", "disk", *check)
        assert refused.rc != 0 and "belongs to another user" in refused.output, refused.output
        done = controller.rollout(pair["new"].path, "-l", "disk", *check, "-e", "ansible_user=plain")
        assert done.rc == 0 and done.changed == 1, done.output
    disk.host.run(f"rm -rf {envs} /home/plain/.conda")
