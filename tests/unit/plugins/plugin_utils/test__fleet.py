# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pty
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible import constants as C
from ansible_collections.airgap.conda.plugins.plugin_utils import _fleet
from ansible_collections.airgap.conda.plugins.plugin_utils._fleet import (
    DONE,
    FAILED,
    SENDING,
    Fleet,
    Note,
    duration,
    line,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import child_environment

MB = 1_000_000


@pytest.mark.parametrize(
    ("notes", "hosts", "said"),
    [
        ([], 3, "0 of 3 hosts done, 0 sending, 0 failed; 0 MB sent, 0.0 MB/s"),
        (
            [Note(SENDING, 50 * MB, 100 * MB, 90)],
            1,
            "0 of 1 hosts done, 1 sending, 0 failed; 50 MB sent, 5.0 MB/s; about 10 s left",
        ),
        # What did not begin yet will take as much as the others.
        (
            [Note(DONE, 100 * MB, 100 * MB, 90), Note(SENDING, 0, 100 * MB, 95)],
            4,
            "1 of 4 hosts done, 1 sending, 0 failed; 100 MB sent, 10.0 MB/s; about 30 s left",
        ),
        # What failed is not waited for.
        (
            [Note(FAILED, 10 * MB, 100 * MB, 90), Note(DONE, 90 * MB, 90 * MB, 90)],
            2,
            "1 of 2 hosts done, 0 sending, 1 failed; 100 MB sent, 10.0 MB/s; about 0 s left",
        ),
    ],
)
def test_what_is_said(notes: list[Note], hosts: int, said: str) -> None:
    assert line(notes, hosts, 100) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (89, "89 s"), (120, "2 min"), (5000, "83 min"), (7200, "2.0 h")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.setattr(_fleet.display, "display", lines.append)
    monkeypatch.setattr(_fleet, "is_watched", lambda: True)
    monkeypatch.setattr(_fleet, "PATIENCE", 0)
    return lines


def test_forks_know_of_each_other_and_one_speaks(shown: list[str]) -> None:
    with Fleet("task", "b/~ad", 3) as other:
        other.sending(10 * MB)
        other.sent(10 * MB)
    one = Fleet("task", "one", 3)
    one.sending(20 * MB)
    one.sent(5 * MB)
    one._tell_in_turn()
    one._tell_in_turn()
    one.end(failed=True)
    assert len(shown) == 1 and "1 of 3 hosts done, 1 sending, 0 failed; 15 MB sent" in shown[0]
    assert sorted(note.state for note in one._read()) == [DONE, FAILED]


def test_a_host_that_needs_nothing_is_not_spoken_of(shown: list[str], tmp_path: Path) -> None:
    with Fleet("task", "one", 3) as one:
        one.end(failed=False)
    assert list(tmp_path.iterdir()) == [] and shown == []


def test_an_error_is_a_failure(shown: list[str]) -> None:
    one = Fleet("task", "one", 1)
    with pytest.raises(OSError, match="cut"), one:
        one.sending(10)
        raise OSError("cut")
    assert [note.state for note in one._read()] == [FAILED]


CODE = """
import os, sys
from ansible_collections.airgap.conda.plugins.plugin_utils._fleet import is_watched
os.write(int(sys.argv[1]), b"yes" if is_watched() else b"no")
"""


@pytest.mark.parametrize(("terminal", "said"), [(True, b"yes"), (False, b"no")])
def test_only_who_has_a_terminal_is_told(terminal: bool, said: bytes) -> None:
    reading, writing = os.pipe()
    main, fork = pty.openpty()
    output: t.Any = fork if terminal else subprocess.DEVNULL
    # A shell, as the tests' own process may have a terminal.
    command = ["/bin/sh", "-c", '"$0" -c "$1" "$2"; :', sys.executable, CODE, str(writing)]
    subprocess.run(command, stdout=output, pass_fds=[writing], env=child_environment(), check=True)
    os.close(writing)
    assert os.read(reading, 10) == said
    for descriptor in (reading, main, fork):
        os.close(descriptor)
