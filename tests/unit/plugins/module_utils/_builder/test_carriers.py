# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.carriers import carriers, unpack_script
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    BINARY,
    BYTECODE,
    FILE,
    LINK,
    PLACEHOLDER,
    TEXT,
    Entry,
)

CONDA_PLACEHOLDER = "/conda" + "_placehold" * 24

ENTRIES = [
    Entry("bin/python", LINK, target="python3.11"),
    Entry("bin/tool", FILE, relocations=((PLACEHOLDER, TEXT),)),
    Entry("lib/both", FILE, relocations=((PLACEHOLDER, TEXT), (CONDA_PLACEHOLDER, TEXT))),
    Entry('lib/it\'s "\\n"\n.txt', FILE, relocations=((PLACEHOLDER, TEXT),)),
    Entry("lib/caf\udce9", FILE, relocations=((PLACEHOLDER, TEXT),)),
    Entry("lib/libx.so", FILE, relocations=((CONDA_PLACEHOLDER, BINARY),)),
    Entry("lib/plain", FILE),
    Entry("lib/x.pyc", FILE, relocations=((CONDA_PLACEHOLDER, BYTECODE),)),
    Entry("lib/own", LINK, target=f"{PLACEHOLDER}/bin", relocations=((PLACEHOLDER, TEXT),)),
    Entry("lib/other", LINK, target="/etc/hosts"),
]


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """An archive unpacked by hand, at a path with a space."""
    prefix = tmp_path / "un packed"
    for name in ("bin", "lib", "conda-meta"):
        (prefix / name).mkdir(parents=True)
    (prefix / "bin/python").symlink_to(sys.executable)
    (prefix / "bin/tool").write_text(f"#!/bin/sh\necho {PLACEHOLDER}\n")
    (prefix / "bin/tool").chmod(0o750)
    os.utime(prefix / "bin/tool", (5, 5))
    (prefix / "lib/both").write_text(f"{PLACEHOLDER}:{CONDA_PLACEHOLDER}")
    (prefix / 'lib/it\'s "\\n"\n.txt').write_text(PLACEHOLDER)
    (prefix / "lib/caf\udce9").write_text(PLACEHOLDER)
    (prefix / "lib/libx.so").write_bytes(b"\0" + CONDA_PLACEHOLDER.encode() + b"/lib\0end")
    (prefix / "lib/plain").write_text(PLACEHOLDER)
    code = compile("", f"{CONDA_PLACEHOLDER}/lib/x.py", "exec")
    (prefix / "lib/x.pyc").write_bytes(b"\0" * 16 + marshal.dumps(code))
    (prefix / "lib/own").symlink_to(f"{PLACEHOLDER}/bin")
    (prefix / "lib/other").symlink_to("/etc/hosts")
    (prefix / "bin/conda-unpack").write_bytes(unpack_script(ENTRIES))
    (prefix / "bin/conda-unpack").chmod(0o755)
    return prefix


def unpack(prefix: Path, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # Nothing on the PATH but what a shell needs.
    return subprocess.run(
        command or [str(prefix / "bin/conda-unpack")],
        env={"PATH": "/usr/bin:/bin"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_is_python_and_imports_nothing_of_ours() -> None:
    text = unpack_script(ENTRIES).decode()
    tree = ast.parse(text)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"json", "os", "re", "shutil", "sys", "typing"}
    assert "ansible" not in text


def test_everything_carries_the_path_it_lies_at(unpacked: Path) -> None:
    done = unpack(unpacked)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    here = str(unpacked)
    assert (unpacked / "bin/tool").read_text() == f"#!/bin/sh\necho {here}\n"
    assert (unpacked / "lib/both").read_text() == f"{here}:{here}"
    assert (unpacked / 'lib/it\'s "\\n"\n.txt').read_text() == here
    assert (unpacked / "lib/caf\udce9").read_text() == here
    pad = b"\0" * (len(CONDA_PLACEHOLDER) - len(here))
    assert (unpacked / "lib/libx.so").read_bytes() == b"\0" + here.encode() + b"/lib" + pad + b"\0end"
    assert marshal.loads((unpacked / "lib/x.pyc").read_bytes()[16:]).co_filename == f"{here}/lib/x.py"
    assert os.readlink(unpacked / "lib/own") == f"{here}/bin"
    assert os.readlink(unpacked / "lib/other") == "/etc/hosts"
    assert ((unpacked / "bin/tool").stat().st_mode & 0o777, (unpacked / "bin/tool").stat().st_mtime) == (0o750, 5)


def test_files_without_record_stay_as_they_are(unpacked: Path) -> None:
    unpack(unpacked)
    assert (unpacked / "lib/plain").read_text() == PLACEHOLDER
    assert not list(unpacked.rglob("*.conda-unpack"))


@pytest.mark.parametrize(
    ("command", "below"),
    [(["./conda-unpack"], "bin"), (["sh", "bin/conda-unpack"], "."), (["bin/python", "bin/conda-unpack"], ".")],
)
def test_the_script_runs_however_it_is_called(unpacked: Path, command: list[str], below: str) -> None:
    assert unpack(unpacked, *command, cwd=unpacked / below).returncode == 0
    assert (unpacked / "lib/both").read_text() == f"{unpacked}:{unpacked}"


def test_a_second_run_does_nothing(unpacked: Path) -> None:
    unpack(unpacked)
    (unpacked / "bin/tool").write_text(PLACEHOLDER)
    before = {path: path.lstat().st_ino for path in unpacked.rglob("*")}
    assert unpack(unpacked).returncode == 0
    assert {path: path.lstat().st_ino for path in unpacked.rglob("*")} == before
    assert (unpacked / "bin/tool").read_text() == PLACEHOLDER


def test_a_tree_that_was_moved_after_the_first_run_is_refused(unpacked: Path) -> None:
    unpack(unpacked)
    moved = unpacked.rename(unpacked.parent / "moved")
    done = unpack(moved)
    assert done.returncode == 1
    assert done.stderr == ("conda-unpack: this environment was unpacked at another path; unpack the archive again\n")
    assert (moved / "lib/both").read_text() == f"{unpacked}:{unpacked}"


def test_a_path_that_is_too_long_is_refused_before_anything_is_done(unpacked: Path) -> None:
    deep = unpacked.parent / ("d" * 200) / ("e" * 100)
    deep.parent.mkdir()
    unpacked.rename(deep)
    done = unpack(deep)
    assert done.returncode == 1
    assert done.stderr == "conda-unpack: this path has more than 246 bytes; unpack the archive at a shorter\n"
    assert (deep / "lib/both").read_text() == f"{PLACEHOLDER}:{CONDA_PLACEHOLDER}"
    deep.rename(unpacked)
    assert unpack(unpacked).returncode == 0


def test_carriers_are_what_a_person_needs() -> None:
    found = {carrier.entry.path: carrier for carrier in carriers(ENTRIES)}
    assert list(found) == ["bin/activate", "bin/activate.fish", "bin/conda-unpack", "bin/deactivate"]
    for carrier in found.values():
        assert (carrier.entry.mode, carrier.entry.size) == (0o755, len(carrier.text))
    assert b"CONDA_PREFIX" in found["bin/activate"].text


def test_files_of_packages_go_before_carriers() -> None:
    taken = [*ENTRIES, Entry("bin/activate", FILE), Entry("bin/conda-unpack", FILE)]
    assert [carrier.entry.path for carrier in carriers(taken)] == ["bin/activate.fish", "bin/deactivate"]


def test_without_a_python_in_it_that_of_the_host_unpacks(unpacked: Path) -> None:
    (unpacked / "bin/python").unlink()
    (unpacked / "bin/conda-unpack").write_bytes(unpack_script(ENTRIES[1:]))
    done = unpack(unpacked)
    assert (done.returncode, done.stderr) == (0, "")
    assert (unpacked / "bin/tool").read_text() == f"#!/bin/sh\necho {unpacked}\n"
