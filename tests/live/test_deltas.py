# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade sends what hosts lack, and all of it where that is not known, not true any more, or hardly less."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import RESERVE
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec
from world.meter import Meter

PREFIX = "/opt/conda/envs/light"
#: One execution of the module and the lines of the file list that hosts lack; two executions are more.
OVERHEAD = 450_000


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    releases = {"old": "bullseye", "new": "trixie"}
    hosts = [HostSpec(name, release, storage="tmpfs") for name, release in releases.items()]
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts) as started:
        yield started


@pytest.fixture(autouse=True)
def _clean(fleet: Fleet) -> Iterator[None]:
    yield
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda")


def size(bundle: Path) -> int:
    return (bundle / "archive.tar.zst").stat().st_size


def deltas(controller: Controller) -> list[Path]:
    return sorted(controller.directory.glob(".cache/airgap-conda/*.delta.zstd"))


def assert_upgraded(host: Host) -> None:
    assert "23.1.0" in host.run(f"{PREFIX}/bin/python -c 'import attr; print(attr.__version__)'").stdout
    assert broken_promises(host, PREFIX) == {}


def test_an_upgrade_sends_what_hosts_lack_and_makes_it_once(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path
) -> None:
    assert controller.rollout(light_earlier).changed == 2
    with Meter(*fleet.hosts) as meter:
        done = controller.rollout(light)
    assert done.rc == 0 and done.changed == 2, done.output
    (delta,) = deltas(controller)
    print(f"delta {delta.stat().st_size:,} of {size(light):,}; received {meter.received}")
    assert delta.stat().st_size < 0.1 * size(light)
    assert all(received < delta.stat().st_size + OVERHEAD for received in meter.received)
    for host in fleet.hosts:
        assert_upgraded(host)
    assert controller.rollout(light).changed == 0
    # And back: another delta.
    with Meter(*fleet.hosts) as meter:
        assert controller.rollout(light_earlier).changed == 2
    assert all(received < 0.2 * size(light) for received in meter.received)


def test_a_guess_that_is_wrong_is_put_right(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Controller(fleet, tmp_path / "other")
    assert controller.rollout(light_earlier).changed == 2
    # By somebody else, of whom the controller knows nothing.
    assert other.rollout(light, "-l", "old").changed == 1
    fleet.hosts[-1].run("rm -rf /opt/conda")
    done = controller.rollout(light)
    assert done.rc == 0 and done.changed == 1, done.output
    for host in fleet.hosts:
        assert_upgraded(host)
    with Meter(*fleet.hosts) as meter:
        assert controller.rollout(light).changed == 0
    assert all(received < OVERHEAD for received in meter.received)


def test_each_host_gets_what_it_needs(fleet: Fleet, controller: Controller, light_earlier: Path, light: Path) -> None:
    assert controller.rollout(light_earlier, "-l", "old").changed == 1
    with Meter(*fleet.hosts) as meter:
        done = controller.rollout(light)
    assert done.rc == 0 and done.changed == 2, done.output
    upgraded, first = meter.received
    assert upgraded < 0.2 * size(light) and first > size(light)
    for host in fleet.hosts:
        assert_upgraded(host)


def test_the_whole_is_sent_where_the_controller_does_not_know_the_generation(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path, tmp_path: Path
) -> None:
    assert controller.rollout(light_earlier).changed == 2
    (tmp_path / "other").mkdir()
    with Meter(*fleet.hosts) as meter:
        done = Controller(fleet, tmp_path / "other").rollout(light)
    assert done.rc == 0 and done.changed == 2, done.output
    assert all(received > size(light) for received in meter.received)
    for host in fleet.hosts:
        assert_upgraded(host)


def test_the_older_bundle_beside_the_new_one_is_knowledge_enough(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path, tmp_path: Path
) -> None:
    assert controller.rollout(light_earlier).changed == 2
    (tmp_path / "other/dist").mkdir(parents=True)
    for bundle in (light_earlier, light):
        (tmp_path / "other/dist" / bundle.name).symlink_to(bundle)
    with Meter(*fleet.hosts) as meter:
        done = Controller(fleet, tmp_path / "other").rollout(tmp_path / "other/dist" / light.name)
    assert done.rc == 0 and done.changed == 2, done.output
    assert all(received < 0.2 * size(light) for received in meter.received)


def test_a_host_without_room_for_the_archive_is_sent_the_delta_or_nothing(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path, tmp_path: Path
) -> None:
    host = fleet.host("old")
    assert controller.rollout(light_earlier, "-l", "old").changed == 1
    free = int(host.run("df -B1 --output=avail /opt | tail -1").stdout)
    host.run(f"fallocate -l {free - RESERVE - size(light) // 2} /opt/conda/filling")
    (tmp_path / "other/dist").mkdir(parents=True)
    (tmp_path / "other/dist" / light.name).symlink_to(light)
    # Of whom neither controller nor bundles are known.
    other = Controller(fleet, tmp_path / "other")
    for arguments in (("--check",), ()):
        with Meter(host) as meter:
            refused = other.rollout(tmp_path / "other/dist" / light.name, "-l", "old", *arguments)
        assert refused.rc != 0 and "light: /opt/conda/envs has " in refused.output, refused.output
        assert "MB free, the deployment needs" in refused.output
        assert meter.received[0] < OVERHEAD
    (tmp_path / "other/dist" / light_earlier.name).symlink_to(light_earlier)
    for arguments in (("--check",), ()):
        done = other.rollout(tmp_path / "other/dist" / light.name, "-l", "old", *arguments)
        assert done.rc == 0 and done.changed == 1, done.output
    assert_upgraded(host)


def test_a_host_that_drifted_gets_the_delta_and_what_it_lost(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path
) -> None:
    assert controller.rollout(light_earlier).changed == 2
    for host in fleet.hosts:
        host.run(f"echo oops >>{PREFIX}/lib/python3.11/site-packages/attr/__init__.py")
    with Meter(*fleet.hosts) as meter:
        done = controller.rollout(light)
    assert done.rc == 0 and done.changed == 2, done.output
    assert all(received < 0.2 * size(light) for received in meter.received)
    for host in fleet.hosts:
        assert_upgraded(host)


def test_what_is_hardly_less_is_not_made(fleet: Fleet, controller: Controller, small: Path, light: Path) -> None:
    # By default Python is tried, which the small one has not.
    named = ("-e", json.dumps({"env_deploy_name": "light", "env_deploy_health": {"commands": ["true"]}}))
    assert controller.rollout(small, *named).changed == 2
    done = controller.rollout(light, *named)
    assert done.rc == 0 and done.changed == 2, done.output
    assert deltas(controller) == []
    for host in fleet.hosts:
        assert_upgraded(host)
