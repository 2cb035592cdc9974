# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import (
    DEFAULTS,
    PUBLIC,
    Channels,
    channel_name,
    qualified,
    record_channel,
)

FORGE = "https://conda.anaconda.org/conda-forge"


@pytest.mark.parametrize(
    ("channel", "url"),
    [
        ("conda-forge", FORGE),
        ("conda-forge/label/dev", f"{FORGE}/label/dev"),
        ("pkgs/main", "https://repo.anaconda.com/pkgs/main"),
        ("https://example.com/chan/", "https://example.com/chan"),
        ("file:///srv/chan", "file:///srv/chan"),
        ("/srv/my chan", "file:///srv/my%20chan"),
        ("./chan", "file:///work/chan"),
        ("../chan", "file:///chan"),
    ],
)
def test_addresses(channel: str, url: str) -> None:
    assert PUBLIC.url(channel, "/work") == url


def test_an_alias_is_looked_under() -> None:
    assert Channels("https://mirror.example.com").url("main", "/work") == "https://mirror.example.com/main"


def test_lists() -> None:
    assert PUBLIC.urls(["conda-forge", "nodefaults", "conda-forge"], "/") == (FORGE,)
    assert PUBLIC.urls(["defaults"], "/") == DEFAULTS


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"{FORGE}/", "conda-forge"),
        ("https://conda.anaconda.org/t/tk-1/private/", "private"),
        ("https://ann:pw@example.com/chan", "https://example.com/chan"),
        ("file:///srv/chan/", "file:///srv/chan"),
    ],
)
def test_names_are_public(url: str, name: str) -> None:
    assert channel_name(url) == name


MIRROR = "https://mirror.example.com/conda-forge"


@pytest.mark.parametrize(
    ("spec", "channels", "text", "channel"),
    [
        ("numpy", [FORGE], "numpy", None),
        ("conda-forge::numpy", [FORGE], f"{FORGE}::numpy", FORGE),
        ("conda-forge::numpy", [MIRROR], f"{MIRROR}::numpy", MIRROR),
        ("forge::numpy", [MIRROR], "https://conda.anaconda.org/forge::numpy", "https://conda.anaconda.org/forge"),
        ("file:///srv/c::six", [FORGE], "file:///srv/c::six", "file:///srv/c"),
    ],
)
def test_qualified_dependencies(spec: str, channels: list[str], text: str, channel: str | None) -> None:
    assert qualified(spec, channels, "/") == (text, channel)


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        (f"{FORGE}/linux-64", FORGE),
        (f"{FORGE}/", FORGE),
        (FORGE, FORGE),
        ("file:///srv/not-linux-64", "file:///srv/not-linux-64"),
        (None, ""),
    ],
)
def test_the_channel_of_a_record(channel: str | None, expected: str) -> None:
    assert record_channel({"channel": channel, "subdir": "linux-64"}) == expected
