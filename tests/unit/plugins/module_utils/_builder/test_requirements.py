# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import requirements
from ansible_collections.airgap.conda.plugins.module_utils._builder.requirements import (
    RequirementFile,
    local_paths,
    requirement_files,
    write_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import Item
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError
from hypothesis import given, strategies


def read_nothing(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def files_of(*texts: str, **others: str) -> tuple[RequirementFile, ...]:
    """The list of a spec /w/e.yml, whose first item is on line 7, with other files beside it."""
    beside = {f"/w/{name}.txt": text for name, text in others.items()}
    items = [Item(text, number) for number, text in enumerate(texts, 7)]
    return requirement_files(items, "/w/e.yml", lambda path: beside[path] if path in beside else read_nothing(path))


def test_files_are_included_once_and_constraints_ask_for_nothing() -> None:
    found = files_of("-r a.txt", "-c c.txt", "x", "-r a.txt", a="y\n-r b.txt\n-c c.txt", b="z\n", c="z==1\n")
    assert [(file.path, file.is_constraints) for file in found] == [
        ("/w/e.yml", False),
        ("/w/a.txt", False),
        ("/w/b.txt", False),
        ("/w/c.txt", True),
    ]
    assert requirements.requirements(found) == ("x", "y", "z")


def test_what_is_required_and_constrains_too_is_required() -> None:
    assert requirements.requirements(files_of("-c a.txt", "-r a.txt", a="y\n-r b.txt", b="z")) == ("y", "z")


@pytest.mark.parametrize(
    ("texts", "others", "message"),
    [
        (["-r a.txt"], {}, "/w/e.yml:7: /w/a.txt cannot be read: No such file or directory"),
        (["x", "-r a.txt"], {"a": "\n-r b.txt"}, "/w/a.txt:2: /w/b.txt cannot be read: "),
        (["-r a.txt"], {"a": "-r b.txt", "b": "x\n-r a.txt"}, "/w/b.txt:2: /w/a.txt includes itself"),
        (["-c a.txt"], {"a": "x\n\n-e ."}, "/w/a.txt:3: '-e .' is an editable install"),
        (["x\n--editable=git+https://t:p@h/x"], {}, "/w/e.yml:8: '--editable=git+https://***@h/x' is an editable"),
        (["-e . --config-settings=a=b"], {}, "/w/e.yml:7: '-e . --config-settings=a=b' is an editable install"),
    ],
)
def test_refusals_name_file_and_line(texts: list[str], others: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError) as error:
        files_of(*texts, **others)
    assert str(error.value).startswith(message)


def test_what_is_written_has_the_lines_of_what_was_read(tmp_path: Path) -> None:
    first = write_files(files_of("x", "-r a.txt", a="# c\n\ny \\\n  --pre\nz\n"), str(tmp_path), str.upper)
    other = str(tmp_path / "1.txt")
    assert Path(first).read_text() == f"\n\n\n\n\n\nX\n-r {other}\n"
    assert Path(other).read_text() == "\n\nY   --PRE\n\nZ\n"


def test_links_beside_a_file_are_found_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "my wheels").mkdir()
    spec = str(tmp_path / "e.yml")
    found = requirement_files([Item("-f 'my wheels'", 1), Item("-f https://h/x", 2)], spec, read_nothing)
    assert requirements.requirements(found) == (f"-f '{tmp_path}/my wheels'", "-f https://h/x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attrs", ""),
        ("attrs==1 ; python_version > '3'", ""),
        ("a @ https://h/a.whl", ""),
        ("https://h/a.whl", ""),
        ("git+file:///srv/repo", ""),
        ("a.whl", "/w/a.whl"),
        ("./a.whl ; python_version > '3'", "/w/a.whl"),
        ("./a.whl --hash=sha256:00", "/w/a.whl"),
        ("sub/a-1.0.tar.gz", "/w/sub/a-1.0.tar.gz"),
        ("../a.zip", "/a.zip"),
        (".", "/w"),
        (".[dev]", "/w"),
        ("./sub[a,b]", "/w/sub"),
        ("a @ file:///srv/a%20b.whl", "/srv/a b.whl"),
        ("a[x] @ file:///srv/a.whl", "/srv/a.whl"),
        ("file:///srv/a.whl", "/srv/a.whl"),
        ("--pre", ""),
    ],
)
def test_local_paths(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    assert local_paths(files_of(text), "/w") == ((expected,) if expected else ())


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(SpecError, match=r"^/w/e\.yml:8: /w/a\.whl is not on the builder$"):
        local_paths(files_of("x", "./a.whl"), "/w")


@given(strategies.text("ab #\\\n-", max_size=40))
def test_lines_are_those_that_pip_reads(text: str) -> None:
    preprocess = importlib.import_module("pip._internal.req.req_file").preprocess
    assert list(requirements._logical_lines(text)) == [(line.strip(), number) for number, line in preprocess(text)]
