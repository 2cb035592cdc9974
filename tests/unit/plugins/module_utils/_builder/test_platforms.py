# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import (
    VirtualPackage,
    checked_platform,
    given_virtual_packages,
    platform_name,
    virtual_packages,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

DETECTED = [
    VirtualPackage("__unix", "0"),
    VirtualPackage("__linux", "6.1"),
    VirtualPackage("__glibc", "2.36"),
    VirtualPackage("__cuda", "12.4"),
    VirtualPackage("__archspec", "1", "x86_64_v4"),
]


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [("Linux", "x86_64", "linux-64"), ("Linux", "aarch64", "linux-aarch64"), ("Darwin", "arm64", "osx-arm64")],
)
def test_platform_names(system: str, machine: str, name: str) -> None:
    assert platform_name(system, machine) == checked_platform(name) == name


def test_unknown_platforms_are_refused() -> None:
    with pytest.raises(SpecError, match="no conda platform is known"):
        platform_name("Plan9", "x86_64")
    with pytest.raises(SpecError, match="'linux' is no platform; these are: linux-64, "):
        checked_platform("linux")


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"glibc": "2.31"}, VirtualPackage("__glibc", "2.31")),
        ({"__glibc": "2.31"}, VirtualPackage("__glibc", "2.31")),
        ({"cuda": 12}, VirtualPackage("__cuda", "12")),
        ({"cuda": ""}, VirtualPackage("__cuda", "")),
        ({"cuda": None}, VirtualPackage("__cuda", "")),
        ({"archspec": "x86_64_v3"}, VirtualPackage("__archspec", "1", "x86_64_v3")),
        ({"archspec": "1=x86_64_v3"}, VirtualPackage("__archspec", "1", "x86_64_v3")),
    ],
)
def test_given(mapping: dict[str, t.Any], expected: VirtualPackage) -> None:
    assert given_virtual_packages(mapping) == (expected,)


def test_unquoted_versions_are_refused() -> None:
    with pytest.raises(SpecError, match="quote the version"):
        given_virtual_packages({"glibc": 2.30})


def assumed(target: str, **given: str) -> dict[str, str]:
    found = virtual_packages(target, "linux-64", DETECTED, given_virtual_packages(given))
    return {package.name: package.version if package.build == "0" else package.build for package in found}


def test_the_fleet_comes_before_the_builder() -> None:
    assert assumed("linux-64", glibc="2.31", cuda="") == {
        "__unix": "0",
        "__linux": "6.1",
        "__glibc": "2.31",
        "__archspec": "x86_64_v4",
    }


def test_another_architecture_is_not_the_builders() -> None:
    assert assumed("linux-aarch64")["__archspec"] == "aarch64"


def test_another_system_has_nothing_of_the_builder() -> None:
    assert assumed("osx-arm64", osx="13.0") == {"__unix": "0", "__osx": "13.0", "__archspec": "arm64"}
