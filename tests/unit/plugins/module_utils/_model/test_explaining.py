# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.explaining import explain
from ansible_collections.airgap.conda.plugins.module_utils._model.findings import Finding
from ansible_collections.airgap.conda.plugins.module_utils._model.ownership import (
    Claim,
    Ownership,
    canonical,
    conda_claim,
    named_by,
    wheel_claim,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package

SITE = "lib/python3.11/site-packages"
NUMPY = tuple(f"{SITE}/numpy/{number}.py" for number in range(4))
NUMPY_META = "conda-meta/numpy-1.23.5-py311_0.json"
REQUESTS = f"{SITE}/requests-2.31.0.dist-info"
NEWER = f"{SITE}/requests-2.32.3.dist-info"

CONDA_NUMPY = Claim("numpy", "1.23.5", "conda", "conda", NUMPY_META, NUMPY)
PIP_REQUESTS = Claim("requests", "2.31.0", "pip", "pip", REQUESTS, (f"{SITE}/requests/api.py", f"{REQUESTS}/RECORD"))
DEPLOYED = [Package("numpy", "1.23.5", "py311_0"), Package("Requests", "2.31.0", manager=PIP)]
NOTED = {
    **dict.fromkeys((*NUMPY, NUMPY_META), "numpy"),
    **dict.fromkeys((f"{SITE}/requests/api.py", f"{REQUESTS}/RECORD"), "requests"),
}


def gone(*paths: str) -> list[Finding]:
    return [Finding("missing", path, "missing") for path in paths]


def new(*paths: str) -> list[Finding]:
    return [Finding("unexpected", path, "unexpected") for path in paths]


def changed(*paths: str) -> list[Finding]:
    return [Finding("modified", path, "modified") for path in paths]


@pytest.mark.parametrize(
    ("findings", "claims", "expected"),
    [
        ([], [CONDA_NUMPY], []),
        (changed(NUMPY[0]), [CONDA_NUMPY], ["numpy: 1 of 5 files modified"]),
        (
            [*changed(NUMPY[0]), *gone(*NUMPY[1:3]), Finding("owner-changed", NUMPY[3], "modified", "0:0 → 5:5")],
            [CONDA_NUMPY],
            ["numpy: 2 of 5 files missing, 1 modified, 1 of another owner"],
        ),
        (
            [*changed(NUMPY[0]), Finding("set-uid", NUMPY[1], "modified", "0644 → 4644")],
            [CONDA_NUMPY],
            [f"numpy, set-uid or set-gid: {NUMPY[1]} (0644 → 4644)", "numpy: 1 of 5 files modified"],
        ),
        (
            gone(*NUMPY, NUMPY_META),
            [],
            ["numpy 1.23.5 is gone (5 files)"],
        ),
        (gone(NUMPY[0]), [], ["numpy: 1 of 5 files missing"]),
        (
            [*gone(f"{REQUESTS}/RECORD"), *changed(f"{SITE}/requests/api.py"), *new(f"{NEWER}/RECORD")],
            [PIP_REQUESTS._replace(version="2.32.3", record=NEWER)],
            ["requests 2.31.0 → 2.32.3, installed by pip on the host (3 files)"],
        ),
        (
            [*new(f"{SITE}/foo.py", f"{SITE}/foo-1.0.dist-info/RECORD")],
            [Claim("foo", "1.0", "pip", "uv", f"{SITE}/foo-1.0.dist-info", (f"{SITE}/foo.py",))],
            ["unexpected package foo 1.0, installed by uv on the host (2 files)"],
        ),
        (
            [*new("conda-meta/foo-1.0-0.json", "bin/foo")],
            [Claim("foo", "1.0", "conda", "conda", "conda-meta/foo-1.0-0.json", ("bin/foo",))],
            ["unexpected package foo 1.0, installed by conda on the host (2 files)"],
        ),
        (
            gone(f"{SITE}/requests/api.py", f"{REQUESTS}/RECORD"),
            [PIP_REQUESTS],
            ["requests 2.31.0 is gone (2 files)"],
        ),
        (
            [Finding("wrong-generation", detail="a is live, the inventory asks for b"), *new("notes")],
            [],
            ["a is live, the inventory asks for b", "unexpected: notes"],
        ),
        (
            new("a", "b", "c", "d", "e"),
            [],
            ["unexpected: a, b, c and 2 more"],
        ),
    ],
)
def test_findings_are_explained_by_package(findings: list[Finding], claims: list[Claim], expected: list[str]) -> None:
    explained = explain(findings, Ownership(claims, NOTED), DEPLOYED)
    assert [each.text for each in explained.explanations] == expected
    assert set(explained.packages) == set(findings)


def test_conda_owns_what_both_claim() -> None:
    both = Claim("other", "1", "pip", "", f"{SITE}/other-1.dist-info", NUMPY)
    assert Ownership([both, CONDA_NUMPY]).owner(NUMPY[0]) == "numpy"


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        (NUMPY[0], "numpy"),
        (NUMPY_META, "numpy"),
        (f"{SITE}/numpy/__pycache__/0.cpython-311.pyc", "numpy"),
        (f"{SITE}/numpy/gone.py", "numpy"),
        (f"{SITE}/numpy/deep/gone.py", "numpy"),
        (f"{SITE}/gone.py", ""),
        (f"{SITE}/requests-3.0.dist-info/METADATA", "requests"),
        ("conda-meta/libfoo-bar-2.0-h1_0.json", "libfoo-bar"),
        ("conda-meta/history", ""),
        ("bin/tool", ""),
        ("notes", ""),
    ],
)
def test_paths_of_no_record_belong_to_who_has_the_directory(path: str, owner: str) -> None:
    assert Ownership([CONDA_NUMPY]).owner(path) == owner


def test_records_are_read_and_damaged_ones_say_what_their_names_say() -> None:
    record = json.dumps({"files": ["lib/a", "bin/b"]}).encode()
    assert conda_claim(NUMPY_META, record) == CONDA_NUMPY._replace(paths=("lib/a", "bin/b"))
    for damaged in (b"", b"{", b"[]", b'{"files": 5}'):
        assert conda_claim(NUMPY_META, damaged) == CONDA_NUMPY._replace(paths=())
    assert conda_claim("conda-meta/x.json", record) is None


def test_wheels_records_name_paths_from_where_they_lie() -> None:
    text = b'requests/api.py,sha256=x,1\n../../../bin/tool,,\n"a,b.py",,\n'
    claim = wheel_claim(REQUESTS, text, b"pip\n")
    paths = (f"{SITE}/requests/api.py", "bin/tool", f"{SITE}/a,b.py")
    assert claim == Claim("requests", "2.31.0", "pip", "pip", REQUESTS, paths)
    said = wheel_claim(REQUESTS, b"", b"\x1b[31m evil")
    assert said is not None and said.installer == ""


@pytest.mark.parametrize("name", ["Ruamel.Yaml", "ruamel_yaml", "ruamel--yaml"])
def test_names_are_compared_in_one_form(name: str) -> None:
    assert canonical(name) == "ruamel-yaml"


def test_what_is_beside_a_record_says_the_package() -> None:
    claim = named_by(f"{SITE}/Foo_Bar-1.0.dist-info/licenses/LICENSE")
    assert claim is not None and (claim.name, claim.record) == ("foo-bar", f"{SITE}/Foo_Bar-1.0.dist-info")
