# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.processes import running_from

ME = pwd.getpwuid(os.geteuid()).pw_name


@contextlib.contextmanager
def running(*command: t.Union[str, Path]) -> t.Iterator[int]:
    """Run what waits for its input to end."""
    with subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b"started\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"started\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program in a tree of ours."""
    path = tmp_path / "generations/0001-a/bin/my cat"
    path.parent.mkdir(parents=True)
    shutil.copy2(t.cast(str, shutil.which("cat")), path)
    return path


def test_a_process_is_told_by_where_its_program_lies(program: Path) -> None:
    tree = program.parents[1]
    with running(program, "-", "/dev/null") as pid:
        expected = [(pid, ME, "my cat", "bin/my cat")]
        assert running_from(str(tree)) == expected
        assert running_from(str(tree)[:-1]) == []
        moved = tree.rename(tree.with_name("moved"))
        assert running_from(str(tree)) == []
        assert running_from(str(moved)) == expected
    assert running_from(str(moved)) == []


def test_a_program_that_was_removed_is_told_too(program: Path) -> None:
    with running(program) as pid:
        shutil.rmtree(program.parents[2])
        assert running_from(str(program.parents[2])) == [(pid, ME, "my cat", "0001-a/bin/my cat (deleted)")]


def test_a_library_counts_as_a_program_does(tmp_path: Path) -> None:
    library = tmp_path / "lib/libours.so"
    library.parent.mkdir()
    with open("/proc/self/maps", encoding="ascii") as maps:
        libc = next(line.split()[-1] for line in maps if "libc.so" in line or "libc-" in line)
    shutil.copy2(libc, library)
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(input(), flush=True); input()"
    python = t.cast(str, shutil.which("python3"))
    with running(python, "-c", code, library) as pid:
        ((found, _user, command, path),) = running_from(str(tmp_path))
        assert (found, path) == (pid, "lib/libours.so")
        # No arguments, as they may be secret.
        assert "libours" not in command
