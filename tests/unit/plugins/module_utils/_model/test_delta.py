# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import (
    Delta,
    given_of,
    is_worth_it,
    lacking,
    origins,
    parse_delta,
    render_delta,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    CONDA_META,
    DIRECTORY,
    FILE,
    LINK,
    PLACEHOLDER,
    TEXT,
    Entry,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Encoding, Piece

HERE = ((PLACEHOLDER, TEXT),)


def file(path: str, content: str = "a", **fields: t.Any) -> Entry:
    return Entry(path, FILE, size=10, sha256=content * 64, **fields)


@pytest.mark.parametrize(
    ("older", "newer", "found"),
    [
        ([], [file("x")], {}),
        ([file("x")], [file("x")], {"x": "x"}),
        ([file("x")], [file("x", "b")], {}),
        # Renamed, and twice; mode and time are the receiver's to set.
        ([file("x")], [file("y")], {"y": "x"}),
        ([file("x")], [file("x"), file("y")], {"x": "x", "y": "x"}),
        ([file("x")], [file("x", mode=0o755)], {"x": "x"}),
        ([file("x"), file("y")], [file("z")], {"z": "x"}),
        # Relocated otherwise it is another file on the host.
        ([file("x")], [file("y", relocations=HERE)], {}),
        ([file("x", relocations=HERE)], [file("y", relocations=HERE)], {"y": "x"}),
        # What is no file needs no content, but is only taken as it is.
        ([Entry("l", LINK, target="x")], [Entry("l", LINK, target="x")], {"l": "l"}),
        ([Entry("l", LINK, target="x")], [Entry("m", LINK, target="x")], {}),
        ([Entry("d", DIRECTORY)], [Entry("d", DIRECTORY)], {"d": "d"}),
        # What states digests of others is the same only where it did not move, and all that it may state is the same.
        ([file("r", renews=CONDA_META)], [file("r", renews=CONDA_META)], {"r": "r"}),
        ([file("r", renews=CONDA_META)], [file("s", renews=CONDA_META)], {}),
        ([file("r", renews=CONDA_META), file("x")], [file("r", renews=CONDA_META), file("x", relocations=HERE)], {}),
        # Bytecode goes with its source.
        (
            [file("a.py"), file("__pycache__/a.cpython-311.pyc", "b")],
            [file("a.py"), file("__pycache__/a.cpython-311.pyc", "b")],
            {"a.py": "a.py", "__pycache__/a.cpython-311.pyc": "__pycache__/a.cpython-311.pyc"},
        ),
        (
            [file("a.py"), file("__pycache__/a.cpython-311.pyc", "b")],
            [file("a.py", "c"), file("__pycache__/a.cpython-311.pyc", "b")],
            {},
        ),
        ([file("__pycache__/a.cpython-311.pyc")], [file("__pycache__/b.cpython-311.pyc")], {}),
    ],
)
def test_origins(older: list[Entry], newer: list[Entry], found: dict[str, str]) -> None:
    assert origins(older, newer) == found
    assert [entry.path for entry in lacking(older, newer)] == [each.path for each in newer if each.path not in found]


def test_what_is_lost_is_lacking_under_each_name_that_was_to_be_made_of_it() -> None:
    older = [file("a.py"), file("__pycache__/a.cpython-311.pyc", "b"), file("x", "c"), file("y", "d")]
    newer = [*older[:3], file("z", "c"), file("new", "e"), Entry("l", LINK, target="x")]
    assert [entry.path for entry in lacking(older, newer, {"a" * 64})] == ["a.py", "new", "l"]
    assert [entry.path for entry in lacking(older, newer, {"c" * 64, "d" * 64})] == ["x", "z", "new", "l"]


@pytest.mark.parametrize(
    ("damaged", "given"),
    [
        ([], {"a": "a", "b": "b", "new": "a"}),
        (["a"], {"a": "b", "b": "b", "new": "b"}),
        (["b"], {"a": "a", "b": "a", "new": "a"}),
        (["a", "b"], {}),
    ],
)
def test_where_one_path_does_not_give_a_content_another_one_does(damaged: list[str], given: dict[str, str]) -> None:
    older = {path: file(path) for path in ("a", "b")}
    found: dict[str, str] = {}

    def give(entry: Entry, source: str) -> bool:
        assert entry.path not in found
        if source not in damaged:
            found[entry.path] = source
        return source not in damaged

    assert given_of(older, [file("a"), file("b"), file("new"), file("other", "b")], give) == set(given)
    assert found == given


@pytest.mark.parametrize(("part", "worth"), [(0, True), (69, True), (70, False), (100, False)])
def test_what_is_worth_it(part: int, worth: bool) -> None:
    whole = [file(str(number)) for number in range(100)]
    assert is_worth_it(whole[:part], whole) is worth


DELTA = Delta("a" * 64, "b" * 64, Encoding("zstd", "1.5", 4, Piece("delta.tar.zst", 5, "c" * 64)))


def test_a_delta_is_read_as_it_was_written() -> None:
    assert parse_delta(render_delta(DELTA), "here") == DELTA
    assert render_delta(DELTA) == render_delta(DELTA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "the delta here has format 2, this collection reads up to 1; upgrade airgap.conda here"),
        ({"format": "1"}, "here: the delta is damaged"),
        ({"older": "x"}, "here: the delta is damaged (unusable digest 'x'); copy it again"),
        ({"newer": 1}, "here: the delta is damaged"),
        ({"encoding": None}, "here: the delta is damaged"),
        ({"encoding": {"codec": "zstd"}}, "here: the delta is damaged"),
    ],
)
def test_damage_is_named(change: dict[str, t.Any], message: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_delta(json.dumps({**json.loads(render_delta(DELTA)), **change}).encode(), "here")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", render_delta(DELTA)[:-9], render_delta(DELTA)[9:]])
def test_what_is_no_delta(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"^here: the delta is damaged"):
        parse_delta(text, "here")


def test_a_piece_stays_in_its_directory() -> None:
    outside = DELTA._replace(encoding=DELTA.encoding._replace(piece=Piece("../x", 1, "c" * 64)))
    with pytest.raises(BundleError, match="unusable piece"):
        parse_delta(render_delta(outside), "here")
