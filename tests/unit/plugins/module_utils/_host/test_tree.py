# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Touched, parse_stat_index, stat_index
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "lib/sub").mkdir(parents=True)
    (root / "lib/a").write_text("a")
    (root / "lib/caf\udce9\n").write_text("odd")
    (root / "lib/link").symlink_to("a")
    (root / "lib-b").write_text("b")
    return root


def test_the_index_holds_each_path_and_what_lstat_says(root: Path) -> None:
    found = parse_stat_index(stat_index(str(root)))
    assert set(found) == {"lib", "lib/sub", "lib/a", "lib/caf\udce9\n", "lib/link", "lib-b"}
    status = (root / "lib/a").lstat()
    assert found["lib/a"] == (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    assert found["lib"] == ((root / "lib").stat().st_mode, (root / "lib").stat().st_uid, (root / "lib").stat().st_gid)
    assert found["lib/link"][4] == len("a")


def test_the_index_of_an_unchanged_tree_is_the_same_also_after_a_rename_of_it(root: Path) -> None:
    before = stat_index(str(root))
    assert stat_index(str(root)) == before
    root.rename(root.parent / "moved")
    assert stat_index(str(root.parent / "moved")) == before


def rewrite_keeping_times(path: Path) -> None:
    status = path.stat()
    # A file system need not tell two moments apart.
    time.sleep(0.02)
    path.write_text("x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "lib/a").chmod(0o600),
        lambda root: rewrite_keeping_times(root / "lib/a"),
        lambda root: (root / "lib/a").unlink(),
        lambda root: (root / "lib/new").touch(),
        lambda root: (root / "lib/sub").rmdir(),
        lambda root: (root / "lib/sub").chmod(0o700),
        lambda root: (root / "lib/new").mkdir(),
        lambda root: (root / "lib/a").rename(root / "lib/c"),
        lambda root: os.replace(root / "lib-b", root / "lib/a"),
        lambda root: ((root / "lib/link").unlink(), (root / "lib/link").symlink_to("b")),
        lambda root: os.link(root / "lib/a", root.parent / "outside"),
    ],
)
def test_each_change_changes_the_index(root: Path, change: t.Callable[[Path], object]) -> None:
    before = stat_index(str(root))
    change(root)
    assert stat_index(str(root)) != before


def test_an_empty_tree_has_an_index(tmp_path: Path) -> None:
    assert parse_stat_index(stat_index(str(tmp_path))) == {}


@pytest.mark.parametrize("index", [b"", b"5", b"5\0", b"5\0path\0no numbers\0", b"garbage"])
def test_of_a_damaged_index_nothing_is_believed(index: bytes) -> None:
    assert parse_stat_index(index) == {}


def test_of_a_cut_index_what_is_whole_is_believed(root: Path) -> None:
    index = stat_index(str(root))
    whole = parse_stat_index(index)
    for length in range(len(index)):
        cut = parse_stat_index(index[:length])
        assert cut.items() <= whole.items(), length


def slow_index(root: Path) -> bytes:
    """What the index is, said the obvious way."""
    lines = [f"{os.stat(root).st_dev}\0"]

    def walk(directory: Path) -> None:
        for path in sorted(directory.iterdir()):
            status = path.lstat()
            fields = [status.st_mode, status.st_uid, status.st_gid]
            if not stat.S_ISDIR(status.st_mode):
                fields += [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            lines.append(f"{path.relative_to(root)}\0{' '.join(map(str, fields))}\0")
            if stat.S_ISDIR(status.st_mode):
                walk(path)

    walk(root)
    return os.fsencode("".join(lines))


names = st.sampled_from(["a", "b", "a.b", "\u00fc", "caf\udce9", " ", "\n"])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.lists(names, min_size=1, max_size=3), st.sampled_from("fld"))))
def test_the_index_is_that_of_the_obvious_walk(made: t.List[t.Tuple[t.List[str], str]]) -> None:
    with tempfile.TemporaryDirectory() as top:
        for parts, kind in made:
            path = Path(top, *parts)
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to("x") if kind == "l" else path.mkdir() if kind == "d" else path.touch(exist_ok=False)
        index = stat_index(top)
        assert index == slow_index(Path(top))
        assert set(parse_stat_index(index)) == {str(path.relative_to(top)) for path in Path(top).rglob("*")}


@given(st.binary(max_size=30), st.integers(0, 200))
def test_a_damaged_index_says_nothing_or_what_is_left_of_it(garbage: bytes, at: int) -> None:
    whole = b"1\0a\x00" + b"33188 0 0 1 2 3 4\0b\x00" + b"16877 0 0\0"
    found = parse_stat_index(whole[:at] + garbage + whole[at + len(garbage) :])
    assert all(isinstance(number, int) for stats in found.values() for number in stats)


# --- linked and unlinked --------------------------------------------------------------------------------------------


def link(touched: Touched, source: Path, target: Path) -> None:
    before = source.lstat()
    time.sleep(0.02)
    os.link(source, target)
    touched.note(before, target.lstat())


def unlink(touched: Touched, path: Path) -> None:
    time.sleep(0.02)
    touched.unlink(str(path))


def test_indexes_of_files_that_were_linked_and_unlinked_are_renewed(root: Path) -> None:
    touched, kept, other = Touched(), stat_index(str(root)), root.parent / "other"
    link(touched, root / "lib/a", other)
    assert touched.renewed(kept) == stat_index(str(root)) != kept
    unlink(touched, other)
    assert touched.renewed(kept) == stat_index(str(root))


def test_an_index_that_did_not_vouch_for_a_file_does_not_come_to(root: Path) -> None:
    touched, kept = Touched(), stat_index(str(root))
    time.sleep(0.02)
    (root / "lib/a").write_bytes(b"drifted")
    link(touched, root / "lib/a", root.parent / "other")
    assert touched.renewed(kept) == kept


def test_what_changed_while_it_was_linked_is_vouched_for_by_none(root: Path) -> None:
    touched, kept = Touched(), stat_index(str(root))
    before = (root / "lib/a").lstat()
    (root / "lib/a").write_bytes(b"at the same time")
    touched.note(before, (root / "lib/a").lstat())
    assert touched.renewed(kept) == kept


def test_the_last_name_of_a_file_is_no_concern_of_other_trees(root: Path) -> None:
    touched, kept = Touched(), stat_index(str(root))
    unlink(touched, root / "lib/a")
    assert touched.renewed(kept) == kept
    assert touched.renewed(b"") == b""
