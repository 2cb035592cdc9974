# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the live suites share: the channel, bundles made of it, and fleets."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from world import bundles
from world import channel as test_channel
from world.builder import Builder
from world.controller import Controller
from world.fleet import Fleet, HostSpec
from world.victim import Tally

RELEASES = ("bullseye", "bookworm", "trixie")

#: What takes minutes goes first, so that those who share the work end together.
LONG = (
    "test_upgrades", "test_deltas", "test_resuming", "test_examples", "test_generations", "test_rollout",
    "test_handpacked", "test_readme", "test_scale", "test_registration", "test_drift_play", "test_faults_of_rollouts",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(scope="session")
def channel() -> str:
    return test_channel.ensure()


@pytest.fixture(scope="session")
def example() -> Path:
    """The bundle of the README's environment."""
    return bundles.ensure(bundles.EXAMPLE)


@pytest.fixture(scope="session")
def earlier() -> Path:
    """The bundle of the same environment, some packages older."""
    return bundles.ensure(bundles.EARLIER)


@pytest.fixture(scope="session")
def tools() -> Path:
    """The bundle of a small environment."""
    return bundles.ensure(bundles.TOOLS)


@pytest.fixture(scope="session")
def light() -> Path:
    """The bundle of an environment of Python and one package."""
    return bundles.ensure(bundles.LIGHT)


@pytest.fixture(scope="session")
def light_earlier() -> Path:
    """The bundle of the same environment, that package older."""
    return bundles.ensure(bundles.LIGHT_EARLIER)


@pytest.fixture(scope="session")
def small() -> Path:
    """The bundle of an environment that is quick to deploy: it has no Python."""
    return bundles.ensure(bundles.SMALL)


@pytest.fixture(scope="session")
def notebooks() -> Path:
    """The bundle of an environment that Jupyter can start."""
    return bundles.ensure(bundles.NOTEBOOKS)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three hosts: Debian 11, 12 and 13; in memory, as every deployment waits for the disk to be in step."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    hosts = [
        HostSpec(f"host{number}", release, storage="tmpfs", size="2g") for number, release in enumerate(RELEASES, 1)
    ]
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts) as started:
        yield started


@pytest.fixture
def controller(fleet: Fleet, tmp_path: Path) -> Controller:
    """Someone with an empty directory and the inventory of the fleet."""
    return Controller(fleet, tmp_path)


@pytest.fixture
def builder(tmp_path: Path, channel: str) -> Builder:
    """Someone in an empty directory with an environment.yml."""
    found = Builder(tmp_path, channel)
    found.write()
    return found


@pytest.fixture
def tally(count: Callable[[str, int], None]) -> Tally:
    """Counts the faults that are survived."""
    return Tally(count)
