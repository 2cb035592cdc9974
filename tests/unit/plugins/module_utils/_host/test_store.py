# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store, remove_tree, write_whole
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header, Item
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import as_a_user, child_environment

CONTENT = "0123456789ab" + "0" * 52
HEADER = Header("0001-0123456789ab", CONTENT, "ml", "/envs/ml", True, 0, 0, "2026-11-22T10:00:00Z", "")
ITEM = Item("bin/tool", "file", "a" * 64, 1, 0o755, 0, 0, "", False)

#: Takes the lock, says so, and holds it until its input ends; then perhaps takes the store away.
HOLD = """
import sys
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
store = Store(sys.argv[1], "ml")
with store.locked():
    print("locked", flush=True)
    sys.stdin.read()
    if sys.argv[2:]:
        store.remove()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "envs"), "ml")
    store.create()
    return store


def make_live(store: Store, marker: str) -> Path:
    path = Path(store.prefix, GENERATION_MARKER)
    path.parent.mkdir(parents=True)
    path.write_bytes(marker.encode("utf-8", "surrogateescape"))
    return path


# --- one run at a time ----------------------------------------------------------------------------------------------


def holder(store: Store, *how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.envs_dir, *how],
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "locked\n"
    return process


def test_another_run_is_waited_for_then_named(store: Store) -> None:
    process = holder(store)
    started = time.monotonic()
    with pytest.raises(DeployError) as caught, store.locked(patience=0.3):
        pass
    assert time.monotonic() - started >= 0.3
    holder_named = rf"\(process {process.pid} since [0-9]{{4}}-[0-9-]+ [0-9:]+\)"
    assert re.fullmatch(rf"another run works on {store.prefix} {holder_named}; try again later", str(caught.value))
    process.communicate()
    with store.locked():
        pass


def test_a_run_that_ends_in_time_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    process = holder(store)
    # It ends while we wait, seen from the first look on.
    monkeypatch.setattr(time, "sleep", lambda _seconds: process.communicate())
    with store.locked():
        assert process.returncode == 0


def test_a_lock_is_freed_by_the_death_of_its_holder(store: Store) -> None:
    process = holder(store)
    process.kill()
    process.communicate()
    with store.locked():
        assert Path(store.root, "lock").read_text().startswith(f"process {os.getpid()} since ")


def test_a_store_that_was_removed_while_we_waited_is_made_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    process = holder(store, "and remove")
    monkeypatch.setattr(time, "sleep", lambda _seconds: process.communicate())
    with store.locked():
        assert os.path.isdir(store.path("incoming", ""))
        with pytest.raises(DeployError, match="another run works on"), Store(store.envs_dir, "ml").locked(patience=0):
            pass


# --- what is live ---------------------------------------------------------------------------------------------------


def test_the_live_generation_is_the_one_the_tree_names(store: Store) -> None:
    store.write_receipt(HEADER, [ITEM], b'{"packages": []}', b"files")
    assert store.live() is None
    make_live(store, f"{HEADER.generation}\n")
    assert store.live() == HEADER
    assert store.receipt(HEADER.generation).items == {"bin/tool": ITEM}
    assert store.manifest(HEADER.generation) == b'{"packages": []}'


@pytest.mark.parametrize(
    "marker", ["", "\n", "0002-0123456789ab", "lock", ".", "..", "../lock", "caf\u00e9", "\udcff", "x" * 5000]
)
def test_a_tree_that_names_no_generation_of_ours_is_not_ours(store: Store, marker: str) -> None:
    store.write_receipt(HEADER, [ITEM], b"{}", b"files")
    make_live(store, marker)
    assert store.live() is None


def test_a_tree_cannot_name_a_receipt_elsewhere(store: Store, tmp_path: Path) -> None:
    """The owner of an environment writes its marker; what it names is read, and removed, by whoever deploys."""
    store.write_receipt(HEADER, [ITEM], b"{}", b"files")
    Path(store.path("receipts", HEADER.generation)).rename(tmp_path / "0001-0123456789ab")
    make_live(store, "../../../../0001-0123456789ab")
    assert (tmp_path / "0001-0123456789ab").samefile(os.path.join(store.root, "receipts/../../../../0001-0123456789ab"))
    assert store.live() is None


def test_a_receipt_of_another_generation_is_refused(store: Store) -> None:
    store.write_receipt(HEADER, [ITEM], b"{}", b"files")
    os.rename(store.path("receipts", HEADER.generation), store.path("receipts", "0002-0123456789ab"))
    make_live(store, "0002-0123456789ab")
    with pytest.raises(BundleError, match=r"receipts/0002-0123456789ab: the receipt is of 0001-0123456789ab"):
        store.live()


def test_a_file_in_the_place_of_the_tree_is_not_ours(store: Store) -> None:
    Path(store.prefix).write_text("file")
    assert store.live() is None


# --- generations ----------------------------------------------------------------------------------------------------


def test_generations_are_numbered_and_name_their_content(store: Store) -> None:
    assert store.next_generation(CONTENT) == "0001-0123456789ab"
    store.write_receipt(HEADER, [], b"{}", b"files")
    assert store.next_generation("f" * 64) == "0002-ffffffffffff"
    store.write_receipt(HEADER._replace(generation="0009-0123456789ab"), [], b"{}", b"files")
    store.forget(HEADER.generation)
    assert store.next_generation(CONTENT) == "0010-0123456789ab"
    store.write_receipt(HEADER._replace(generation="9999-0123456789ab"), [], b"{}", b"files")
    store.write_receipt(HEADER._replace(generation="10000-0123456789ab"), [], b"{}", b"files")
    assert store.next_generation(CONTENT) == "10001-0123456789ab"


@pytest.mark.parametrize("name", [".nfs0001", "0007-0123456789ab.new", "lost+found", "README"])
def test_other_files_among_the_receipts_have_no_number(store: Store, name: str) -> None:
    Path(store.path("receipts", name)).touch()
    assert store.next_generation(CONTENT) == "0001-0123456789ab"


def test_what_is_forgotten_is_gone_also_twice(store: Store) -> None:
    store.write_receipt(HEADER, [ITEM], b"{}", b"files")
    store.write_index(HEADER.generation, b"0\0")
    store.forget(HEADER.generation)
    store.forget(HEADER.generation)
    assert [os.listdir(store.path(part, "")) for part in ("receipts", "manifests", "index")] == [[], [], []]


def test_an_index_that_is_not_there_is_empty(store: Store) -> None:
    assert store.index("0001-0123456789ab") == b""


def test_the_last_store_takes_the_directory_of_stores_with_it(store: Store) -> None:
    other = Store(store.envs_dir, "other")
    other.create()
    store.remove()
    assert not store.exists and other.exists
    other.remove()
    assert os.listdir(store.envs_dir) == []


# --- writing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_file_is_written_whole_and_readable_for_all(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    before = os.umask(umask)
    try:
        write_whole(str(path), [b"ne", b"w"])
    finally:
        os.umask(before)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_is_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def chunks() -> t.Iterator[bytes]:
        yield b"ne"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(str(path), chunks())
    assert path.read_text() == "old"
    write_whole(str(path), [b"new"])
    assert path.read_text() == "new"


def test_nothing_is_written_through_a_link_that_was_put_in_the_way(tmp_path: Path) -> None:
    """A file may be written by root into a directory of another user."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "file.new").symlink_to("mine")
    write_whole(str(tmp_path / "file"), [b"text"])
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "text" and not (tmp_path / "file").is_symlink()


# --- removing -------------------------------------------------------------------------------------------------------


def test_a_tree_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/link").symlink_to("../kept")
    (tmp_path / "kept/sub").mkdir(parents=True)
    (tmp_path / "kept/sub").chmod(0o500)
    remove_tree(str(tmp_path / "tree"))
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == ["kept"]
    assert stat.S_IMODE((tmp_path / "kept/sub").stat().st_mode) == 0o500


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("kept"), lambda path: path.write_text("x")])
def test_what_is_no_directory_is_removed_as_it_is(tmp_path: Path, make: t.Callable[[Path], object]) -> None:
    (tmp_path / "kept/sub").mkdir(parents=True)
    make(tmp_path / "tree")
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["sub"]


@pytest.mark.parametrize("mode", [0o500, 0o600, 0o400, 0o000])
def test_a_user_removes_directories_without_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    inner = tmp_path / "tree/inner"
    (inner / "deep").mkdir(parents=True)
    (inner / "file").touch()
    for path in (inner / "file", inner / "deep", inner, tmp_path / "tree", tmp_path):
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
    (inner / "deep").chmod(mode)
    inner.chmod(mode)
    monkeypatch.chdir(tmp_path)
    as_a_user(lambda: remove_tree("tree"))
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o555)

    def fail() -> None:
        with pytest.raises(
            DeployError, match=r"^cannot remove tree: (Permission denied|Operation not permitted); remove it by hand"
        ):
            remove_tree("tree")

    as_a_user(fail)
