# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new generation takes from one that is here, and that indexes stay true through it."""

from __future__ import annotations

import errno
import os
import pwd
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import acting, bytecode, deployment, digesting, sharing
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import verify
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import PLACEHOLDER
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import VERIFY_FULL, VERIFY_QUICK
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Scope
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    HERE,
    Member,
    TinyBundle,
    file,
    link,
    make_bundle,
    tool_members,
)

LIBRARY = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"

#: Of both versions of the tool, and what becomes of it.
SHARED = ("lib/libtool.so.1", "share/notes")
EDITED = ("conda-meta/history", "etc/caf\udce9", "lib/python3.11/site-packages/x.pth")
CHANGED = ("bin/tool", "lib/python3.11/site-packages/x.py")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    top = tmp_path / "site"
    top.mkdir()
    site = Site(top)
    monkeypatch.setattr(acting, "sync", lambda _path: None)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(deployment, "scope_of", lambda _order: Scope(False, str(site.home), {}))
    return site


def members(version: str) -> list[Member]:
    return [
        *tool_members(version),
        file("lib/python3.11/site-packages/x.pth", b"/srv\n"),
        file("share/notes", b"notes"),
    ]


@pytest.fixture
def one(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "1.0", members("1.0"))


@pytest.fixture
def two(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "2.0", members("2.0"))


def kept(site: Site) -> Path:
    (generation,) = site.store.kept()
    return Path(site.store.tree(generation))


def inodes(tree: Path, paths: t.Iterable[str]) -> dict[str, int]:
    return {path: (tree / path).lstat().st_ino for path in paths}


def assert_indexes_are_true(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tree is as its index says, so nothing is read; and reading all finds the same."""
    live = site.store.live()
    assert live
    trees = {live.generation: site.store.prefix, **{each: site.store.tree(each) for each in site.store.kept()}}
    for generation, tree in trees.items():
        assert not any(verify(site.store, tree, generation, VERIFY_FULL).damage), generation
        with monkeypatch.context() as patched:
            patched.setattr(digesting, "_digest", lambda path: pytest.fail(f"{path} was read"))
            assert not any(verify(site.store, tree, generation, VERIFY_QUICK).damage), generation


def test_what_did_not_change_is_one_inode_with_the_prefix_in_it_or_not(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.present(one)
    before = inodes(site.prefix, (*SHARED, *EDITED, *CHANGED))
    site.present(two)
    for tree in (site.prefix, kept(site)):
        assert inodes(tree, SHARED) == {path: before[path] for path in SHARED}
    now = inodes(site.prefix, (*EDITED, *CHANGED))
    assert not any(now[path] == before[path] for path in now)
    assert str(site.prefix).encode() in (site.prefix / "lib/libtool.so.1").read_bytes()
    assert_indexes_are_true(site, monkeypatch)
    site.assert_settled(site.order(two))


def test_a_third_generation_and_collecting_leave_every_index_true(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "2.0", "3.0", "4.0"):
        site.present(make_bundle(tmp_path / version, members(version)), keep=3)
        assert_indexes_are_true(site, monkeypatch)
    assert (site.prefix / SHARED[0]).stat().st_nlink == 3


@pytest.mark.parametrize(
    "how",
    [
        lambda path: path.write_bytes(b"drifted" + path.read_bytes()[7:]),
        lambda path: path.chmod(0o700),
        lambda path: os.utime(path, (1, 1)),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.symlink_to("libtool.so.1")),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_what_drifted_is_never_taken(
    site: Site, one: TinyBundle, two: TinyBundle, how: t.Callable[[Path], object]
) -> None:
    site.present(two)
    good = (site.prefix / SHARED[0]).read_bytes()
    site.run(site.order())
    site.present(one)
    library = site.prefix / SHARED[0]
    times = library.stat()
    how(library)
    if library.is_file() and not library.is_symlink() and library.stat().st_mtime != 1:
        # As who wants not to be seen would.
        os.utime(library, ns=(times.st_atime_ns, times.st_mtime_ns))
    site.present(two)
    assert library.read_bytes() == good and library.stat().st_nlink == 1
    assert library.stat().st_mode & 0o777 == 0o755 and library.stat().st_mtime == 315532800
    live = site.store.live()
    assert live and not any(verify(site.store, site.store.prefix, live.generation, VERIFY_FULL).damage)


def test_without_an_index_digests_decide(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    live = site.store.live()
    assert live
    os.unlink(site.store.path("index", live.generation))
    (site.prefix / "share/notes").write_text("drift")
    site.present(two, verify="receipt")
    assert (site.prefix / SHARED[0]).stat().st_nlink == 2
    assert (site.prefix / SHARED[1]).stat().st_nlink == 1
    assert (site.prefix / SHARED[1]).read_bytes() != b"drift"


def test_a_repair_writes_only_what_is_damaged_and_through_no_other_name(
    site: Site, one: TinyBundle, two: TinyBundle
) -> None:
    site.present(one)
    site.present(two)
    intact = inodes(site.prefix, CHANGED)
    library = site.prefix / SHARED[0]
    good = library.read_bytes()
    library.write_bytes(b"appended through every name")
    (site.prefix / EDITED[0]).write_text("mine")
    site.present(two)
    assert inodes(site.prefix, CHANGED) == intact
    assert library.read_bytes() == good and library.stat().st_nlink == 1
    # Known to whoever wants to go back there.
    (generation,) = site.store.kept()
    assert verify(site.store, str(kept(site)), generation, VERIFY_QUICK).damage.modified == (SHARED[0],)


@pytest.mark.parametrize("share", ["auto", "hardlink", "copy"])
def test_files_are_shared_as_asked_for(site: Site, one: TinyBundle, two: TinyBundle, share: str) -> None:
    site.present(one)
    site.present(two, share=share)
    assert (inodes(site.prefix, SHARED) == inodes(kept(site), SHARED)) == (share != "copy")
    site.assert_settled(site.order(two))


@pytest.mark.parametrize("code", [errno.EMLINK, errno.EPERM, errno.ENOTSUP])
def test_where_no_link_can_be_made_files_are_copied(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    site.present(one)
    monkeypatch.setattr(os, "link", refused)
    site.present(two)
    assert site.output() == f"2.0 at {site.prefix}\n"
    assert (site.prefix / SHARED[0]).read_bytes() == (kept(site) / SHARED[0]).read_bytes()
    assert_indexes_are_true(site, monkeypatch)


def test_a_disk_that_is_full_is_no_reason_to_copy(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    site.present(one)
    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(os, "link", full)
        site.present(two)
    site.present(two)
    site.assert_settled(site.order(two))


def test_a_file_that_is_replaced_while_it_is_linked_is_not_taken(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.present(one)
    real = os.link

    def raced(source: str, target: str, **options: t.Any) -> None:
        Path(source).unlink()
        Path(source).write_bytes(b"another")
        real(source, target, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", raced)
        site.present(two)
    live = site.store.live()
    assert live and not any(verify(site.store, site.store.prefix, live.generation, VERIFY_FULL).damage)


def test_a_damaged_archive_leaves_the_index_of_the_live_tree_true(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.present(one)
    good = two.archive.read_bytes()
    two.archive.write_bytes(good[:-100] + b"x" * 100)
    with pytest.raises(DeployError, match="the archive is damaged"):
        site.present(two)
    assert_indexes_are_true(site, monkeypatch)
    assert (site.prefix / SHARED[0]).stat().st_nlink == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_another_owner_are_copied(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    site.present(two, owner="nobody")
    assert (kept(site) / SHARED[0]).stat().st_uid == 0
    assert (site.prefix / SHARED[0]).stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert (site.prefix / SHARED[0]).stat().st_nlink == 1
    site.assert_settled(site.order(two))


def test_records_of_what_is_relocated_otherwise_are_not_taken(site: Site, tmp_path: Path) -> None:
    """The same bytes, once with the prefix put in and once not: who states their digest says another one."""
    path = "share/template"
    text = f"in {PLACEHOLDER}\n".encode()
    record = "lib/python3.11/site-packages/x-1.dist-info/RECORD"
    common = [each for each in tool_members("1.0") if each.entry.path != record]
    stating = file(record, b"../../../share/template,sha256=old,1\n", renews="wheel-record")
    site.present(make_bundle(tmp_path / "a", [*common, stating, file(path, text, relocations=HERE)]))
    relocated = (site.prefix / record).read_bytes()
    site.present(make_bundle(tmp_path / "b", [*common, stating, file(path, text)]))
    assert (site.prefix / record).read_bytes() == stating.data != relocated


def test_a_base_that_cannot_be_read_gives_nothing(site: Site, one: TinyBundle, two: TinyBundle) -> None:
    site.present(one)
    live = site.store.live()
    assert live
    Path(site.store.path("files", live.generation)).write_bytes(b"no gzip")
    site.present(two)
    assert (site.prefix / SHARED[0]).stat().st_nlink == 1
    site.assert_settled(site.order(two))


# --- bytecode -------------------------------------------------------------------------------------------------------


def python_members(**sources: str) -> list[Member]:
    files = [file(f"{LIBRARY}/{name}.py", text.encode(), relocations=HERE) for name, text in sources.items()]
    return [link("bin/python", sys.executable), file("conda-meta/history"), *files]


def compiled(tree: Path, name: str) -> Path:
    return tree / LIBRARY / f"__pycache__/{name}.{sys.implementation.cache_tag}.pyc"


def test_bytecode_of_unchanged_sources_is_linked_and_nothing_is_compiled_twice(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = {"same": f"WHERE = '{PLACEHOLDER}'\n", "template": "{{ no python }}\n"}
    options = {"bytecode": True, "register": {"commands": []}}
    site.present(make_bundle(tmp_path / "a", python_members(**same, other="x = 1\n")), **options)
    first = compiled(site.prefix, "same").stat().st_ino
    site.present(make_bundle(tmp_path / "b", python_members(**same, other="x = 2\n")), **options)
    assert compiled(site.prefix, "same").stat().st_ino == first
    assert compiled(site.prefix, "other").read_bytes() != compiled(kept(site), "other").read_bytes()
    assert not compiled(site.prefix, "template").exists()
    assert_indexes_are_true(site, monkeypatch)

    monkeypatch.setattr(bytecode, "_compile", lambda *_arguments: pytest.fail("nothing is to be compiled"))
    more = [*python_members(**same, other="x = 2\n"), file("share/more", b"more")]
    site.present(make_bundle(tmp_path / "c", more), **options)
    assert compiled(site.prefix, "same").stat().st_ino == first
    assert_indexes_are_true(site, monkeypatch)


def test_bytecode_that_was_lost_is_compiled_again(site: Site, tmp_path: Path) -> None:
    options = {"bytecode": True, "register": {"commands": []}}
    site.present(make_bundle(tmp_path / "a", python_members(same="x = 1\n")), **options)
    compiled(site.prefix, "same").unlink()
    more = [*python_members(same="x = 1\n"), file("share/more", b"more")]
    site.present(make_bundle(tmp_path / "b", more), **options)
    assert compiled(site.prefix, "same").exists()
    site.assert_settled(site.order(make_bundle(tmp_path / "c", more), **options))


# --- blocks ---------------------------------------------------------------------------------------------------------


def test_where_blocks_can_be_shared_every_file_is_its_own(
    site: Site, one: TinyBundle, two: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FICLONE by copying: the file systems at hand that can do it take a file system of their own (see tests/live)."""
    monkeypatch.setattr(sharing, "_clone", sharing._transfer)
    site.present(one)
    site.present(two)
    assert not any((site.prefix / path).stat().st_nlink > 1 for path in SHARED)
    assert_indexes_are_true(site, monkeypatch)
