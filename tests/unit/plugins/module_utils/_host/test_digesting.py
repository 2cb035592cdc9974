# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import typing as t
import warnings
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import digesting
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import Digests, shares
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """Many files, one large; it is worth a process to read them."""
    monkeypatch.setattr(digesting, "_WORTH_A_FORK", 0)
    for number in range(300):
        (tmp_path / f"f{number:03}").write_bytes(b"%d" % number * number)
    (tmp_path / "large").write_bytes(os.urandom(3 << 20))
    with warnings.catch_warnings():
        # Said of threads of the test runner, which hold no lock that is needed here.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield tmp_path


def jobs(directory: Path) -> list[tuple[str, int]]:
    return [(name, os.path.getsize(directory / name)) for name in os.listdir(directory)]


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_all_are_read_whatever_the_number_of_processes(files: Path, processes: int) -> None:
    digests = Digests(str(files), jobs(files), processes)
    for name in os.listdir(files):
        assert digests.of(name) == hashlib.sha256((files / name).read_bytes()).hexdigest()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_what_is_gone_or_no_file_has_no_digest(files: Path) -> None:
    (files / "link").symlink_to("large")
    (files / "folder").mkdir()
    digests = Digests(str(files), [*jobs(files), ("gone", 5)], 2)
    assert [digests.of(name) for name in ("gone", "link", "folder")] == [None, None, None]


def test_a_process_that_is_killed_is_made_up_for(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = os.getpid()
    digest = digesting._digest

    def fatal(path: str) -> bytes:
        if os.getpid() != begun and path.endswith("f150"):
            os.kill(os.getpid(), 9)
        return digest(path)

    monkeypatch.setattr(digesting, "_digest", fatal)
    digests = Digests(str(files), jobs(files), 2)
    assert digests.of("f150") == hashlib.sha256((files / "f150").read_bytes()).hexdigest()
    assert digests.of("large") == hashlib.sha256((files / "large").read_bytes()).hexdigest()


def test_few_bytes_are_read_by_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"a")
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    assert Digests(str(tmp_path), [("a", 1)], 2).of("a") == hashlib.sha256(b"a").hexdigest()


@given(st.lists(st.integers(0, 1 << 30), unique=True), st.integers(1, 9))
def test_each_file_is_dealt_once_and_none_waits_for_one_process(sizes: list[int], count: int) -> None:
    dealt = shares([(str(size), size) for size in sizes], count)
    assert sorted(path for share in dealt for path in share) == sorted(map(str, sizes))
    loads = [sum(int(path) for path in share) + len(share) * digesting._OPENING for share in dealt]
    if len(dealt) > 1:
        assert max(loads) - min(loads) <= max(sizes) + digesting._OPENING
