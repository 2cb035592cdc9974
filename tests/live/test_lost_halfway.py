# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong half-way: the cable, the disk of the host, the disk of the controller. The next run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from world.ansible import Play
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec

PREFIX = "/opt/conda/envs/my_env"
STORE = "/opt/conda/envs/.airgap/my_env"
#: ssh of a person who does not wait for a dead cable.
IMPATIENT = "-o ServerAliveInterval=1 -o ServerAliveCountMax=2 -o ConnectTimeout=3"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    small = HostSpec("host", "bookworm", storage="tmpfs", volumes={"/opt": "size=900m,mode=755"})
    with Fleet(tmp_path_factory.mktemp("fleet"), [small]) as started:
        yield started


@pytest.fixture
def host(fleet: Fleet) -> Iterator[Host]:
    yield fleet.host("host")
    fleet.host("host").run("rm -rf /opt/*")


def soon(condition: Callable[[], bool], seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


class Rollout(threading.Thread):
    """A rollout that goes on while the test does something to it."""

    def __init__(self, controller: Controller, bundle: Path, *arguments: str) -> None:
        super().__init__()
        self._work: Callable[[], Play] = lambda: controller.rollout(bundle, *arguments)
        self.play: Play | None = None
        self.start()

    def run(self) -> None:
        self.play = self._work()

    def ended(self) -> Play:
        self.join()
        assert self.play is not None
        return self.play


def assert_refused_and_clean(host: Host, play: Play) -> None:
    assert play.rc != 0 and "Traceback" not in play.output, play.output
    assert host.run(f"ls {PREFIX} {STORE}/staging", check=False).stdout == ""


def test_a_cable_cut_while_sending_costs_nothing_but_time(
    host: Host, controller: Controller, example: Path, tmp_path: Path
) -> None:
    before = host.interface_bytes()[0]
    fresh = ("-e", f"ansible_control_path_dir={tmp_path}/cp", "-e", f'{{"ansible_ssh_extra_args": "{IMPATIENT}"}}')
    rollout = Rollout(controller, example, *fresh)
    assert soon(lambda: host.interface_bytes()[0] - before > 10_000_000)
    host.cut()
    try:
        lost = rollout.ended()
    finally:
        host.mend()
    assert lost.recap["host"]["unreachable"] + lost.recap["host"]["failed"] == 1
    assert_refused_and_clean(host, lost)
    done = controller.rollout(example)
    assert done.rc == 0 and done.changed == 1, done.output
    assert broken_promises(host, PREFIX) == {}
    assert host.run(f"ls -A {STORE}/incoming").stdout == ""


def test_a_disk_that_others_fill_meanwhile_leaves_the_old_generation_live(
    host: Host, controller: Controller, earlier: Path, example: Path
) -> None:
    assert controller.rollout(earlier).rc == 0
    staging = host.root / STORE[1:] / "staging"
    # What shares nothing takes long enough.
    rollout = Rollout(controller, example, "-e", "env_deploy_share=copy")
    assert soon(staging.is_dir)
    module = f"$(sed 's/process \\([0-9]*\\).*/\\1/' {STORE}/lock)"
    host.run(f"kill -STOP {module}; dd if=/dev/zero of=/opt/filler bs=1M 2>/dev/null; kill -CONT {module}", check=False)
    full = rollout.ended()
    # Asked for before, or met while writing.
    told = ("what changed needs", "No space left on device; the live environment is whole, run again to finish")
    assert full.rc != 0 and any(each in full.output for each in told), full.output
    assert "Traceback" not in full.output and not staging.exists()
    host.run("rm /opt/filler")
    assert "1.5.2" in host.run(f"{PREFIX}/bin/python -c 'import pandas; print(pandas.__version__)'").stdout
    assert broken_promises(host, PREFIX) == {}
    assert controller.rollout(example).changed == 1


def test_a_full_disk_is_told_before_anything_is_sent(host: Host, controller: Controller, example: Path) -> None:
    host.run("dd if=/dev/zero of=/opt/filler bs=1M count=800 2>/dev/null")
    refused = controller.rollout(example)
    assert "MB free, the deployment needs" in refused.output
    assert_refused_and_clean(host, refused)


@pytest.mark.parametrize(
    ("bundle", "said"),
    [
        ("nowhere", "is not a bundle (No such file or directory: manifest.json)"),
        (".", "is not a bundle (No such file or directory: manifest.json)"),
        ("environment.yml", "is neither a bundle nor an archive that conda-pack writes"),
    ],
)
def test_what_is_no_bundle_is_told(bundle: str, said: str, host: Host, controller: Controller, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("name: x\n")
    refused = controller.rollout(Path(bundle))
    assert said in refused.output, refused.output
    assert_refused_and_clean(host, refused)


def test_a_full_disk_of_the_controller_is_told(host: Host, controller: Controller, example: Path) -> None:
    refused = controller.rollout(example, "-e", "env_deploy_cache=/dev/full/cache")
    assert "/dev/full" in refused.output, refused.output
    assert_refused_and_clean(host, refused)
