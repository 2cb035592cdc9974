# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Needs
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import (
    RESERVE,
    HostFacts,
    Place,
    preflight,
    shortage,
)

NEEDS = Needs("linux-64", "2.17", "12.0", 30, 1_000_000, 100)
HOST = HostFacts("linux-64", "2.31", "12.4")
PLACE = Place("/opt", 10**9, 10**6, noexec=False, read_only=False, writable=True)
PREFIX = "/opt/envs/my_env"


def found(
    needs: Needs = NEEDS, payload: int = 0, prefix: str = PREFIX, host: HostFacts = HOST, place: Place = PLACE
) -> list[str]:
    return preflight(needs, payload, prefix, host, place)


def test_nothing_keeps_a_fitting_host() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("needs", "host"),
    [
        (NEEDS._replace(platform="noarch"), HOST._replace(platform="linux-aarch64")),
        (NEEDS._replace(glibc="2.31"), HOST),
        (NEEDS._replace(glibc=""), HOST._replace(glibc="")),
        (NEEDS._replace(cuda="12.4"), HOST),
        (NEEDS._replace(cuda="12"), HOST._replace(cuda="12.0")),
        (NEEDS._replace(cuda=""), HOST._replace(cuda="")),
    ],
)
def test_a_host_that_has_just_what_is_needed_fits(needs: Needs, host: HostFacts) -> None:
    assert found(needs, host=host) == []


@pytest.mark.parametrize(
    ("host", "finding"),
    [
        (HOST._replace(platform="linux-aarch64"), "the bundle is for linux-64, this host is linux-aarch64;"),
        (HOST._replace(glibc="2.5"), "the bundle needs glibc 2.17, this host has 2.5;"),
        (HOST._replace(glibc=""), "the bundle needs glibc 2.17, this host has another C library"),
        (HOST._replace(cuda="11.8"), "the bundle needs CUDA 12.0, the driver here supports 11.8"),
        (HOST._replace(cuda=""), "the bundle needs CUDA 12.0, the driver here supports none"),
    ],
)
def test_what_a_host_lacks_is_told(host: HostFacts, finding: str) -> None:
    (told,) = found(host=host)
    assert told.startswith(finding)


@pytest.mark.parametrize(
    ("place", "finding"),
    [
        (PLACE._replace(free_inodes=99), "/opt has 99 free inodes, the deployment needs 100"),
        (PLACE._replace(read_only=True, writable=False), "/opt lies on a file system mounted read-only"),
        (PLACE._replace(writable=False), "this user may not write to /opt;"),
        (PLACE._replace(noexec=True), "/opt lies on a file system mounted noexec;"),
    ],
)
def test_what_a_place_lacks_is_told(place: Place, finding: str) -> None:
    (told,) = found(place=place)
    assert told.startswith(finding)


def test_file_systems_that_count_no_inodes_have_enough() -> None:
    assert found(place=PLACE._replace(free_inodes=None)) == []


def test_room_is_that_of_the_environment_of_what_is_sent_and_a_reserve() -> None:
    enough = NEEDS.size + 500_000 + RESERVE
    assert found(payload=500_000, place=PLACE._replace(free_bytes=enough)) == []
    (told,) = found(payload=500_000, place=PLACE._replace(free_bytes=enough - 1))
    assert told == "/opt has 69 MB free, the deployment needs 69 MB (environment 1, archive 0, reserve 67)"


def test_a_prefix_is_measured_in_bytes() -> None:
    fits = "/" + "\u00e9" * 14 + "x"
    assert found(prefix=fits) == []
    (told,) = found(prefix=fits + "x")
    assert told.endswith("has 31 bytes, files of this bundle can carry 30 at most")
    assert len(found(prefix="/" + "\udce9" * 29)) == 0


def test_everything_is_told_at_once() -> None:
    place = Place("/opt", 0, 0, noexec=True, read_only=True, writable=False)
    told = found(host=HostFacts("linux-32", "2.5", ""), place=place, prefix="/" + "p" * 40)
    assert [finding.split()[0:3] for finding in told] == [
        ["the", "bundle", "is"],
        ["the", "bundle", "needs"],
        ["the", "bundle", "needs"],
        ["/opt", "has", "0"],
        ["/opt", "has", "0"],
        ["/opt", "lies", "on"],
        ["/opt", "lies", "on"],
        ["the", "prefix", "/" + "p" * 40],
    ]
    assert not any("\n" in finding for finding in told)


def test_what_changed_needs_room_as_well() -> None:
    place = PLACE._replace(free_bytes=5_000_000)
    assert shortage(5_000_000, place) is None
    assert shortage(6_000_000, place) == "/opt has 5 MB free, what changed needs 6 MB"
