# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import Record
from ansible_collections.airgap.conda.plugins.module_utils._builder.needs import (
    least_glibc_of_wheel,
    least_virtual,
    platform_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError


def records(*data: dict[str, t.Any]) -> list[Record]:
    return [Record(f"conda-meta/{number}.json", fields) for number, fields in enumerate(data)]


@pytest.mark.parametrize(
    ("subdirs", "platform"),
    [
        ([], "linux-64"),
        (["noarch", "noarch"], "linux-64"),
        (["noarch", "linux-aarch64", "linux-aarch64"], "linux-aarch64"),
        ([None, "linux-ppc64le"], "linux-ppc64le"),
    ],
)
def test_the_platform_is_that_of_the_packages(subdirs: list[str | None], platform: str) -> None:
    data = ({} if subdir is None else {"subdir": subdir} for subdir in subdirs)
    assert platform_of(records(*data), "linux-64") == platform


def test_packages_of_two_platforms_are_refused() -> None:
    with pytest.raises(PackError, match="mixes packages of linux-64 and osx-arm64; build it again"):
        platform_of(records({"subdir": "osx-arm64"}, {"subdir": "linux-64"}), "linux-64")


@pytest.mark.parametrize(
    ("depends", "least"),
    [
        ([], ""),
        (["__glibc"], ""),
        (["__glibc >=2.17"], "2.17"),
        (["__glibc >=2.17,<3.0.a0"], "2.17"),
        (["__glibc >= 2.28"], "2.28"),
        (["__glibc >=2.17", "__glibc >=2.5"], "2.17"),
        (["__glibc >=2.5", "__glibc >=2.28"], "2.28"),
        (["__glibcxx >=9", "python >=3.11"], ""),
        (["__glibc <3"], ""),
    ],
)
def test_the_least_version_of_a_virtual_package_is_what_all_accept(depends: list[str], least: str) -> None:
    together = records({"depends": depends}, {})
    apart = records(*({"depends": [depend]} for depend in depends))
    assert least_virtual(together, "__glibc") == least_virtual(apart, "__glibc") == least


@pytest.mark.parametrize(
    ("tags", "least"),
    [
        ([], ""),
        (["py3-none-any"], ""),
        (["cp311-cp311-linux_x86_64"], ""),
        (["cp311-cp311-manylinux_2_28_x86_64"], "2.28"),
        (["cp311-cp311-manylinux2014_x86_64"], "2.17"),
        (["cp311-cp311-manylinux2010_x86_64"], "2.12"),
        (["cp311-cp311-manylinux1_x86_64"], "2.5"),
        (["cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux2014_x86_64"], "2.17"),
        (["cp311-cp311-manylinux_2_5_x86_64.manylinux1_x86_64"], "2.5"),
        (["cp311-cp311-manylinux_2_12_x86_64", "cp311-cp311-manylinux_2_5_x86_64"], "2.5"),
        (["cp311-cp311-musllinux_1_2_x86_64"], ""),
    ],
)
def test_a_wheel_asks_for_the_oldest_glibc_that_one_of_its_tags_allows(tags: list[str], least: str) -> None:
    wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n" + "".join(f"Tag: {tag}\n" for tag in tags)
    assert least_glibc_of_wheel(wheel) == least
