# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    FILE,
    Entry,
    pack_files,
    render_files,
    unpack_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.list_delta import list_delta, patched_list


def listed(*names: str) -> bytes:
    """The file list of files that hold their paths; of C(path=word), that word."""
    pairs = [name.partition("=")[::2] for name in names]
    digests = [
        (path, hashlib.sha256((word or path).encode("utf-8", "surrogateescape")).hexdigest()) for path, word in pairs
    ]
    return render_files(Entry(path, FILE, size=1, sha256=digest) for path, digest in digests)


@pytest.mark.parametrize(
    ("older", "newer", "ranges"),
    [
        ([], [], []),
        ([], ["a"], []),
        (["a"], [], []),
        (["a", "b"], ["a", "b"], [[0, 2]]),
        (["a", "b", "c"], ["a", "c"], [[0, 1], [2, 3]]),
        (["a", "c"], ["a", "b", "c"], [[0, 1], [1, 2]]),
        (["a", "b", "c"], ["a", "b=new", "c"], [[0, 1], [2, 3]]),
        (["b", "c"], ["a", "b", "c", "d"], [[0, 2]]),
        (["a", "b"], ["c", "d"], []),
        (["ä", "\udce4"], ["ä", "\udce4", "\udce5"], [[0, 2]]),
    ],
)
def test_the_newer_list_is_made_of_the_older(older: list[str], newer: list[str], ranges: list[list[int]]) -> None:
    before, after = listed(*older), listed(*newer)
    delta = list_delta(before, after)
    assert patched_list(before, delta) == after
    parts = json.loads(unpack_files(delta))
    assert [part for part in parts if isinstance(part, list)] == ranges
    assert delta == list_delta(before, after)


def test_one_file_of_many_takes_little() -> None:
    names = [f"lib/python3.11/{number:05}.py" for number in range(5000)]
    before, after = listed(*names), listed(*names[:2000], "lib/python3.11/02000.py=new", *names[2001:])
    assert len(list_delta(before, after)) < 300 < len(pack_files(after)) / 100


@pytest.mark.parametrize(
    "parts",
    [
        [[0]],
        [[0, 3]],
        [[1, 1]],
        [[-1, 1]],
        [["a", "b"]],
        [[0, 1], [0, 1]],
        ["ä"],
        [None],
        [1.5],
        [[0.5, 1]],
    ],
)
def test_what_no_controller_made_is_refused(parts: object) -> None:
    before = listed("a", "b")
    with pytest.raises(BundleError, match="run again"):
        patched_list(before, pack_files(json.dumps(parts).encode()))


def test_what_is_no_gzip_or_no_json_is_refused() -> None:
    for damaged in (b"", b"\x1f\x8b", pack_files(b"[")):
        with pytest.raises(BundleError):
            patched_list(b"", damaged)
