# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import re

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.selectors import names_a_platform, selects
from hypothesis import given, strategies

#: What is true on a platform, written out.
TRUE = {
    "linux-64": {"linux-64", "linux", "linux64", "unix", "x86", "x86_64", "amd64"},
    "linux-aarch64": {"linux-aarch64", "linux", "linuxaarch64", "unix", "aarch64"},
    "osx-arm64": {"osx-arm64", "osx", "osxarm64", "unix", "arm64"},
    "osx-64": {"osx-64", "osx", "osx64", "unix", "x86", "x86_64", "amd64"},
}
WORDS = ("linux", "osx", "win", "unix", "linux64", "win64", "aarch64", "arm64", "x86_64", "ppc64le", "osx64")


@pytest.mark.parametrize(("platform", "word"), list(itertools.product(TRUE, WORDS)))
def test_words(platform: str, word: str) -> None:
    assert selects(word, platform) is (word in TRUE[platform])


@pytest.mark.parametrize("text", ["", "py>38", "linux and", "(linux", "linux)", "not", "linux osx", "beos", "a-b", "1"])
def test_no_selectors(text: str) -> None:
    assert selects(text, "linux-64") is None


@pytest.mark.parametrize(
    ("text", "expected"), [("linux and py>38", True), ("see 12", False), ("not win", True), ("winter", False)]
)
def test_whether_a_platform_is_named(text: str, expected: bool) -> None:
    assert names_a_platform(text) is expected


def expressions() -> strategies.SearchStrategy[str]:
    def joined(inner: strategies.SearchStrategy[str]) -> strategies.SearchStrategy[str]:
        pairs = strategies.tuples(inner, strategies.sampled_from(["and", "or"]), inner).map(" ".join)
        return pairs | inner.map("not {}".format) | inner.map("( {} )".format)

    return strategies.recursive(strategies.sampled_from(WORDS), joined, max_leaves=12)


@given(expressions(), strategies.sampled_from(sorted(TRUE)))
def test_expressions_mean_what_they_mean_in_python(text: str, platform: str) -> None:
    python = re.sub(r"\w+", lambda word: word[0] if word[0] in ("not", "and", "or") else f"'{word[0]}' in true", text)
    assert selects(text, platform) is bool(eval(python, {"true": TRUE[platform]}))
