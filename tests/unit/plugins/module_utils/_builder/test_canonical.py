# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import canonical
from ansible_collections.airgap.conda.plugins.module_utils._builder.canonical import plain_shebang, to_placeholder
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import names
from ansible_collections.airgap.conda.plugins.module_utils._model.files import PLACEHOLDER
from ansible_collections.airgap.conda.plugins.module_utils._model.renewal import Digest
from hypothesis import example, given
from hypothesis import strategies as st

PREFIX = "/envs/ml"

#: What makes up texts: the prefix, what begins like it, and what may follow.
PARTS = (
    b"/envs/ml",
    b"/envs/ml",
    b"/envs/m",
    b"/envs",
    b"-tools",
    b"_x",
    b".",
    b".y",
    b"..",
    b"/bin",
    b":",
    b"\0",
    b" ",
    b"7",
)

texts = st.binary(max_size=12).map(lambda choices: b"".join(PARTS[choice % len(PARTS)] for choice in choices))
sizes = st.binary(min_size=1, max_size=4).map(lambda data: [1 + byte % 9 for byte in data])


def cut(data: bytes, sizes: t.Sequence[int]) -> t.Iterator[bytes]:
    """Cut *data* into chunks of *sizes*, again and again."""
    at = turn = 0
    while at < len(data):
        yield data[at : at + sizes[turn % len(sizes)]]
        at, turn = at + sizes[turn % len(sizes)], turn + 1


def occurrences(data: bytes) -> list[int]:
    """Return where the prefix stands as a whole path, found byte by byte."""
    found = []
    for start in range(len(data)):
        if data.startswith(PREFIX.encode(), start):
            after = data[start + len(PREFIX) :]
            goes_on = re.match(rb"[A-Za-z0-9_+-]", after) or re.match(rb"\.[A-Za-z0-9_]", after)
            if not goes_on:
                found.append(start)
    return found


@given(texts, sizes)
@example(b"/envs/ml.y", [9, 1])
@example(b"/envs/ml.", [8, 1])
def test_the_prefix_is_replaced_wherever_the_chunks_are_cut(data: bytes, sizes: list[int]) -> None:
    expected, done = b"", 0
    for start in occurrences(data):
        expected += data[done:start] + PLACEHOLDER.encode()
        done = start + len(PREFIX)
    assert b"".join(to_placeholder(cut(data, sizes), PREFIX)) == expected + data[done:]


@given(texts, sizes)
@example(b"/envs/ml.y", [9, 1])
@example(b"x/envs/ml.y7", [11, 1])
def test_the_prefix_is_found_wherever_the_chunks_are_cut(data: bytes, sizes: list[int]) -> None:
    assert names(cut(data, sizes), PREFIX) == bool(occurrences(data))


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (b"/envs/ml", True),
        (b"/envs/ml/bin/python", True),
        (b"-I/envs/ml/include", True),
        (b"file:///envs/ml", True),
        (b"/envs/ml:/usr/bin", True),
        (b"'/envs/ml'", True),
        (b"in /envs/ml.", True),
        (b"in /envs/ml. Then", True),
        (b"/envs/ml\0", True),
        (b"/envs/ml-tools", False),
        (b"/envs/ml_old", False),
        (b"/envs/ml2", False),
        (b"/envs/ml.bak", False),
        (b"/envs/ml+gpu", False),
        (b"/envs/m", False),
    ],
)
def test_a_longer_name_is_not_the_prefix(text: bytes, whole: bool) -> None:
    assert names([text], PREFIX) == whole
    assert (b"".join(to_placeholder([text], PREFIX)) != text) == whole


def test_odd_bytes_in_the_prefix_are_found() -> None:
    assert names([b"/caf\xe9/x"], "/caf\udce9")
    assert not names([b"/caf\xc3\xa9/x"], "/caf\udce9")


# --- scripts --------------------------------------------------------------------------------------------------------

PLAIN = b"#!/envs/ml/bin/python\nimport x\n"


@pytest.mark.parametrize(
    ("script", "plain"),
    [
        (b"#!/bin/sh\n'''exec' /envs/ml/bin/python \"$0\" \"$@\"\n' '''\nimport x\n", PLAIN),
        (b"#!/bin/sh\n'''exec' \"/envs/ml/bin/python\" \"$0\" \"$@\"\n' '''\nimport x\n", PLAIN),
        (b"#!/bin/sh\n'''exec' \"/envs/ml/bin/python\" \"$0\" \"$@\" #'''\nimport x\n", PLAIN),
        (
            b"#!/bin/sh\n'''exec' \"/envs/ml/bin/python\" -E \"$0\" \"$@\"\n' '''\nimport x\n",
            b"#!/envs/ml/bin/python -E\nimport x\n",
        ),
        (PLAIN, PLAIN),
        *(
            (other, other)
            for other in (
                b"",
                b"#!/bin/sh\n",
                b"#!/bin/sh\necho /envs/ml\n",
                b"#!/bin/sh\n'''exec' /envs/other/bin/python \"$0\" \"$@\"\n' '''\n",
                b"#!/bin/sh\n'''exec' /envs/ml-tools/bin/python \"$0\" \"$@\"\n' '''\n",
                b"#!/bin/sh\n'''exec' /envs/ml/bin/python \"$1\"\n' '''\n",
                b"\n#!/bin/sh\n'''exec' /envs/ml/bin/python \"$0\" \"$@\"\n' '''\n",
                b"#!/bin/sh\n'''exec' " + b"x" * 40_000,
            )
        ),
    ],
)
@pytest.mark.parametrize("sizes", [[1 << 20], [1], [19, 3]], ids=str)
def test_a_script_that_takes_a_detour_names_its_python_directly(script: bytes, plain: bytes, sizes: list[int]) -> None:
    assert b"".join(plain_shebang(cut(script, sizes), PREFIX)) == plain


# --- metadata -------------------------------------------------------------------------------------------------------

RECORD: dict[str, t.Any] = {
    "name": "x",
    "url": "https://ann:pw@h/t/tk-1/chan/linux-64/x-1-0.conda",
    "channel": "https://ann:pw@h/t/tk-1/chan",
    "created_at": "now",
    "indexed_timestamp": 5,
    "extracted_package_dir": "/home/ann/pkgs/x-1-0",
    "package_tarball_full_path": "/home/ann/pkgs/x-1-0.conda",
    "link": {"source": "/home/ann/pkgs/x-1-0", "type": 1},
    "files": ["bin/x", "lib/__pycache__/x.pyc", "lib/x"],
    "paths_data": {
        "paths_version": 1,
        "paths": [
            {"_path": "bin/x", "path_type": "hardlink", "sha256": "1", "sha256_in_prefix": "2"},
            {"_path": "lib/__pycache__/x.pyc", "path_type": "pyc_file"},
            {"_path": "lib/x", "path_type": "softlink", "sha256": "3", "sha256_in_prefix": "3"},
        ],
    },
}


def packed(record: dict[str, t.Any], digests: dict[str, Digest] | None = None) -> dict[str, t.Any]:
    found = json.loads(canonical.conda_meta(record, {"bin/x", "lib/x"}, digests or {}))
    assert isinstance(found, dict)
    return found


def test_a_record_is_packed_without_the_builder_and_of_packed_paths_only() -> None:
    assert packed(RECORD) == {
        "name": "x",
        "url": "https://h/chan/linux-64/x-1-0.conda",
        "channel": "https://h/chan",
        "extracted_package_dir": "",
        "package_tarball_full_path": "",
        "link": {"source": "", "type": 1},
        "files": ["bin/x", "lib/x"],
        "paths_data": {
            "paths_version": 1,
            "paths": [
                {"_path": "bin/x", "path_type": "hardlink", "sha256": "1", "sha256_in_prefix": "1"},
                {"_path": "lib/x", "path_type": "softlink", "sha256": "3"},
            ],
        },
    }


def test_a_record_states_the_digest_of_what_is_not_as_the_package_has_it() -> None:
    paths = packed(RECORD, {"bin/x": Digest("7", 1), "lib/x": Digest("8", 1)})["paths_data"]["paths"]
    assert [path.get("sha256_in_prefix") for path in paths] == ["7", None]


def test_two_builds_of_one_package_are_packed_alike() -> None:
    elsewhere = {
        **RECORD,
        "url": "https://bob:pw2@h/t/tk-2/chan/linux-64/x-1-0.conda",
        "channel": "https://h/chan",
        "created_at": "later",
        "link": {"source": "/srv/pkgs/x-1-0", "type": 1},
    }
    del elsewhere["indexed_timestamp"]
    assert packed(elsewhere) == packed(RECORD)
    assert canonical.conda_meta(elsewhere, set(), {}) == canonical.conda_meta(RECORD, set(), {})


# What the two say of one package, less what they say alike.
BY_CONDA: dict[str, t.Any] = {
    "name": "x",
    "subdir": "noarch",
    "channel": "https://h/chan/noarch",
    "package_type": "noarch_python",
    "depends": [],
    "constrains": [],
    "track_features": "",
    "license_family": None,
    "_requested_specs": [],
    "requested_specs": [],
    "package_tarball_full_path": "/pkgs/x-1-0.conda",
    "extracted_package_dir": "/pkgs/x-1-0",
    "link": {"source": "/pkgs/x-1-0", "type": 3},
    "files": ["lib/x", "lib/__pycache__/x.pyc", "bin/x"],
    "paths_data": {
        "paths_version": 1,
        "paths": [
            {"_path": "lib/x", "path_type": "hardlink", "sha256": "3", "sha256_in_prefix": "3"},
            {"_path": "lib/__pycache__/x.pyc", "path_type": "pyc_file", "size_in_bytes": 9},
            {"_path": "bin/x", "path_type": "unix_python_entry_point", "size_in_bytes": 242},
        ],
    },
}
BY_RATTLER: dict[str, t.Any] = {
    "name": "x",
    "subdir": "noarch",
    "channel": "https://h/chan/",
    "arch": None,
    "platform": None,
    "depends": [],
    "requested_specs": [],
    "extracted_package_dir": "/cache/x-1-0-4711",
    "link": {"source": "/cache/x-1-0-4711", "type": 1},
    "files": ["bin/x", "lib/x"],
    "paths_data": {
        "paths_version": 1,
        "paths": [
            {"_path": "bin/x", "path_type": "unix_python_entry_point", "sha256": "7", "size_in_bytes": 236},
            {"_path": "lib/x", "path_type": "hardlink", "sha256": "3"},
        ],
    },
}


def test_the_records_of_two_solvers_are_packed_alike() -> None:
    digests = {"bin/x": Digest("8", 200)}
    assert packed(BY_CONDA, digests) == packed(BY_RATTLER, digests)
    assert packed(BY_CONDA, digests)["paths_data"]["paths"] == [
        {"_path": "bin/x", "path_type": "unix_python_entry_point", "sha256_in_prefix": "8"},
        {"_path": "lib/x", "path_type": "hardlink", "sha256": "3", "sha256_in_prefix": "3"},
    ]


@pytest.mark.parametrize("record", [{"name": "x"}, {"name": "x", "link": None, "url": None, "paths_data": None}])
def test_records_with_little_in_them_are_taken(record: dict[str, t.Any]) -> None:
    assert packed(record)["files"] == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (
            "https://conda.anaconda.org/conda-forge/linux-64/x.conda",
            "https://conda.anaconda.org/conda-forge/linux-64/x.conda",
        ),
        ("https://ann:pw@h/t/tk/chan", "https://h/chan"),
        ("file:///home/ann/chan", "file:///chan"),
        ("file:///home/ann/chan/", "file:///chan"),
        ("file:///home/ann/chan/linux-64/x-1-0.conda", "file:///chan/linux-64/x-1-0.conda"),
        ("file:///home/ann/chan/noarch/x-1-0.tar.bz2", "file:///chan/noarch/x-1-0.tar.bz2"),
        ("conda-forge", "conda-forge"),
    ],
)
def test_channels_are_named_without_credentials_and_without_the_builders_directories(url: str, name: str) -> None:
    assert canonical.channel(url) == name


def test_history_has_constant_times() -> None:
    text = b"==> 2026-11-22 10:00:00 <==\n# cmd: conda create\n+x\n==> 2026-11-23 11:00:00 <==\n-x ==> no <==\n"
    assert canonical.history(text) == (
        b"==> 1980-01-01 00:00:00 <==\n# cmd: conda create\n+x\n==> 1980-01-01 00:00:00 <==\n-x ==> no <==\n"
    )


@pytest.mark.parametrize(
    ("typed", "packed"),
    [
        (b"# cmd: /home/ann/conda/bin/conda create -p /home/ann/envs/x a", b"# cmd: conda create -p x a"),
        (b"# cmd: conda env create --file=/home/ann/x.yml", b"# cmd: conda env create --file=x.yml"),
        (b"# update specs: ['a=1', 'file:///home/ann/b-1-0.conda']", b"# update specs: ['a=1', 'b-1-0.conda']"),
        (b"# cmd: conda create conda-forge/linux-64::a", b"# cmd: conda create conda-forge/linux-64::a"),
        (b"# note: /home/ann/x", b"# note: /home/ann/x"),
    ],
)
def test_history_names_no_directory_of_who_typed(typed: bytes, packed: bytes) -> None:
    assert canonical.history(typed + b"\n") == packed + b"\n"


@pytest.mark.parametrize(
    ("spec", "packed"),
    [
        ("python=3.11", "python=3.11"),
        ("conda-forge/linux-64::a", "conda-forge/linux-64::a"),
        ("/home/ann/b-1-0.conda", "b-1-0.conda"),
        ("file:///home/ann/b-1-0.conda", "b-1-0.conda"),
        ("https://ann:secret@host/b-1-0.conda", "https://host/b-1-0.conda"),
    ],
)
def test_what_was_asked_for_names_no_directory(spec: str, packed: str) -> None:
    record = {"requested_spec": spec, "requested_specs": [spec]}
    said = json.loads(canonical.conda_meta(record, (), {}))
    assert (said["requested_spec"], said["requested_specs"]) == (packed, [packed])


@pytest.mark.parametrize(
    ("url", "packed"),
    [
        ("file:///home/ann/wheels/own-1.0-py3-none-any.whl", "file:///own-1.0-py3-none-any.whl"),
        ("file:///home/ann/src/own/", "file:///own"),
        ("https://ann:secret@host/own-1.0.tar.gz", "https://host/own-1.0.tar.gz"),
    ],
)
def test_where_a_wheel_lay_is_nobodys_business(url: str, packed: str) -> None:
    text = canonical.direct_url(json.dumps({"url": url, "archive_info": {"hash": "sha256=x"}}).encode())
    assert json.loads(text) == {"url": packed, "archive_info": {"hash": "sha256=x"}}


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'"x"', b'{"url": 1}', b"\xff"])
def test_what_states_no_origin_stays_as_it_is(text: bytes) -> None:
    assert canonical.direct_url(text) == text


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        (b"x/__init__.py,sha256=a,1\n", True),
        (b"x/__pycache__/__init__.cpython-311.pyc,,\n", False),
        (b"x/__pycache__/__init__.cpython-311.pyc,sha256=a,1\r\n", False),
        (b'"x/__pycache__/a,b.cpython-311.pyc",,\n', False),
        (b"x/sourceless.pyc,sha256=a,1\n", True),
        (b"../../../bin/x,sha256=a,1\n", True),
        (b"x/a.pyc.txt,sha256=a,1\n", True),
    ],
)
def test_a_wheels_record_lists_no_bytecode_that_python_makes(line: bytes, stays: bool) -> None:
    before, after = b"a.py,sha256=a,1\n", b"z.py,sha256=a,1"
    assert canonical.wheel_record(before + line + after) == before + (line if stays else b"") + after


def test_a_last_line_without_end_is_a_line_too() -> None:
    assert canonical.wheel_record(b"a.py,,\n__pycache__/a.cpython-311.pyc,,") == b"a.py,,\n"
