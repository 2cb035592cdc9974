# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import (
    NO_CHANNEL,
    Artifact,
    artifact,
    is_artifact,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

MD5, SHA256 = "0" * 32, "1" * 64


@pytest.mark.parametrize(
    ("dependency", "expected"),
    [
        (
            "https://h/c/noarch/a-b-1.0-py_0.conda",
            Artifact("https://h/c/noarch/a-b-1.0-py_0.conda", "a-b", "1.0", "py_0"),
        ),
        ("./p/A-1-0.tar.bz2", Artifact("file:///w/p/A-1-0.tar.bz2", "a", "1", "0")),
        ("A-1-0.conda", Artifact("file:///w/A-1-0.conda", "a", "1", "0")),
        ("/s p/a-1-0.conda", Artifact("file:///s%20p/a-1-0.conda", "a", "1", "0")),
        (f"file:///s/a-1-0.conda#{MD5}", Artifact("file:///s/a-1-0.conda", "a", "1", "0", md5=MD5)),
        (f"http://h/a-1-0.conda#{SHA256}", Artifact("http://h/a-1-0.conda", "a", "1", "0", sha256=SHA256)),
        (f"http://h/a-1-0.conda#sha256:{SHA256}", Artifact("http://h/a-1-0.conda", "a", "1", "0", sha256=SHA256)),
    ],
)
def test_artifacts(dependency: str, expected: Artifact) -> None:
    assert is_artifact(dependency)
    assert artifact(dependency, "/w") == expected
    assert expected.spec == f"{expected.name}=={expected.version}={expected.build}"


@pytest.mark.parametrize("dependency", ["numpy", "numpy=1.0", "c::a-1-0.conda", "conda", "a.conda.b", "https://h/c::x"])
def test_others_are_none(dependency: str) -> None:
    assert not is_artifact(dependency)


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        ("./a.conda", "has no name of a conda package"),
        ("./a-1.conda", "has no name of a conda package"),
        ("./a-1-0.conda#12", "'12' is neither an md5 nor a sha256"),
        ("ftp://h/a-1-0.conda", "is no address of a package"),
        ("https://ann:pw@h/a.conda", r"https://\*\*\*@h/a.conda"),
    ],
)
def test_refusals(dependency: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        artifact(dependency, "/w")


@pytest.mark.parametrize(
    ("url", "channel", "path"),
    [
        ("https://h/c/linux-64/a-1-0.conda", "https://h/c", None),
        ("https://h/c/noarch/a-1-0.conda", "https://h/c", None),
        ("https://h/any/a-1-0.conda", "https://h/any", None),
        ("file:///c/linux-64/a-1-0.conda", "file:///c", "/c/linux-64/a-1-0.conda"),
        ("file:///c%20d/a-1-0.conda", NO_CHANNEL, "/c d/a-1-0.conda"),
    ],
)
def test_where_they_come_from(url: str, channel: str, path: str | None) -> None:
    found = artifact(url, "/w")
    assert (found.channel, found.path) == (channel, path)
