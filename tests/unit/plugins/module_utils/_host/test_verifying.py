# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import digesting
from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import Verified, examine, verify
from ansible_collections.airgap.conda.plugins.module_utils._model.files import EPOCH
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Damage
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header, Item
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import as_a_user

GENERATION = "0001-000000000000"
UNDAMAGED = Verified(Damage(), None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A live tree with its receipt and its index."""
    store = Store(str(tmp_path), "ml")
    store.create()
    ids = (os.geteuid(), os.getegid())
    staging = Staging(store.prefix, store.prefix, *ids)
    prefix = Path(store.prefix)
    for path in ("bin", "lib/__pycache__", "lib/empty"):
        (prefix / path).mkdir(parents=True, mode=0o755)
    for path in ("bin", "lib", "lib/empty"):
        (prefix / path).chmod(0o755)
        staging.items[path] = Item(path, "dir", "", 0, 0o755, *ids, "", False)
    staging.add("bin/tool", b"tool", 0o755, EPOCH)
    staging.add("lib/x.py", b"x = 1", 0o644, EPOCH)
    (prefix / "bin/link").symlink_to("tool")
    staging.items["bin/link"] = Item("bin/link", "link", "", 0, 0o777, *ids, "tool", False)
    (prefix / "lib/__pycache__/x.cpython-311.pyc").write_bytes(b"code")
    staging.adopt_directory("lib/__pycache__")
    staging.adopt("lib/__pycache__/x.cpython-311.pyc", 0o644)
    store.write_receipt(
        Header(GENERATION, "0" * 64, "ml", store.prefix, True, *ids, "", ""), staging.items.values(), b"{}", b""
    )
    store.write_index(GENERATION, stat_index(store.prefix))
    return store


def check(store: Store, depth: str = "quick", *registered: str) -> Verified:
    return verify(store, store.prefix, GENERATION, depth, registered)


def damage(store: Store, depth: str = "quick", *registered: str) -> Damage:
    found = check(store, depth, *registered)
    return Damage(*(tuple(sorted(paths)) for paths in found.damage))


@pytest.mark.parametrize("depth", ["receipt", "quick", "full"])
def test_an_untouched_tree_is_undamaged_at_any_depth(store: Store, depth: str) -> None:
    assert check(store, depth) == UNDAMAGED


def rewrite_keeping_size_and_time(path: Path) -> None:
    status = path.stat()
    time.sleep(0.02)
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def make_tool(path: Path) -> None:
    path.write_bytes(b"tool")
    path.chmod(0o755)


def swap(path: Path, make: t.Callable[[Path], object]) -> None:
    """Put something else at *path*."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: (p / "bin/tool").unlink(), Damage(missing=("bin/tool",))),
        (lambda p: (p / "bin/link").unlink(), Damage(missing=("bin/link",))),
        (lambda p: (p / "lib/empty").rmdir(), Damage(missing=("lib/empty",))),
        (lambda p: shutil.rmtree(p / "bin"), Damage(missing=("bin", "bin/link", "bin/tool"))),
        (lambda p: (p / "bin/tool").write_bytes(b"fool"), Damage(modified=("bin/tool",))),
        (lambda p: rewrite_keeping_size_and_time(p / "bin/tool"), Damage(modified=("bin/tool",))),
        (lambda p: (p / "bin/tool").chmod(0o700), Damage(modified=("bin/tool",))),
        (lambda p: (p / "bin/tool").chmod(0o4755), Damage(modified=("bin/tool",))),
        (lambda p: (p / "bin").chmod(0o777), Damage(modified=("bin",))),
        (lambda p: swap(p / "bin/link", lambda path: path.symlink_to("/bin/sh")), Damage(modified=("bin/link",))),
        (lambda p: swap(p / "bin/link", lambda path: path.write_bytes(b"tool")), Damage(modified=("bin/link",))),
        (lambda p: swap(p / "bin/tool", lambda path: path.symlink_to("/bin/sh")), Damage(modified=("bin/tool",))),
        (lambda p: swap(p / "bin/tool", lambda path: path.mkdir(0o755)), Damage(modified=("bin/tool",))),
        (lambda p: swap(p / "bin/tool", os.mkfifo), Damage(modified=("bin/tool",))),
        (lambda p: swap(p / "lib/empty", lambda path: path.write_bytes(b"")), Damage(modified=("lib/empty",))),
        (lambda p: swap(p / "lib/empty", lambda path: path.symlink_to(".")), Damage(modified=("lib/empty",))),
        (lambda p: (p / "lib/__pycache__/x.cpython-311.pyc").unlink(), Damage()),
        (lambda p: shutil.rmtree(p / "lib/__pycache__"), Damage()),
        (
            lambda p: (p / "lib/__pycache__/x.cpython-311.pyc").write_bytes(b"evil"),
            Damage(modified=("lib/__pycache__/x.cpython-311.pyc",)),
        ),
        (lambda p: (p / "lib/__pycache__/x.cpython-312.pyc").touch(), Damage()),
        (
            lambda p: ((p / "bin/__pycache__").mkdir(), (p / "bin/__pycache__/y.cpython-311.pyc").touch()),
            Damage(),
        ),
        (lambda p: (p / "lib/__pycache__/y.py").touch(), Damage(unexpected=("lib/__pycache__/y.py",))),
        (lambda p: (p / "bin/__pycache__").touch(), Damage(unexpected=("bin/__pycache__",))),
        (lambda p: (p / "bin/__pycache__").mkdir(), Damage()),
        (lambda p: (p / "bin/mine").touch(), Damage(unexpected=("bin/mine",))),
        (lambda p: (p / "bin/mine").symlink_to("tool"), Damage(unexpected=("bin/mine",))),
        (lambda p: (p / "mine/deep").mkdir(parents=True), Damage()),
        (lambda p: os.utime(p / "bin/tool"), Damage()),
        (lambda p: swap(p / "bin/tool", make_tool), Damage()),
    ],
)
@pytest.mark.parametrize("depth", ["quick", "full"])
def test_each_kind_of_change_is_found(
    store: Store, depth: str, change: t.Callable[[Path], object], expected: Damage
) -> None:
    change(Path(store.prefix))
    assert damage(store, depth) == expected
    assert check(store, "receipt") == UNDAMAGED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_change_of_owner_is_found(store: Store) -> None:
    os.chown(os.path.join(store.prefix, "bin/tool"), 1234, -1)
    os.lchown(os.path.join(store.prefix, "bin/link"), -1, 1234)
    os.chown(os.path.join(store.prefix, "lib"), 1234, 1234)
    assert damage(store) == Damage(modified=("bin/link", "bin/tool", "lib"))


def test_registration_below_the_prefix_is_expected(store: Store) -> None:
    (Path(store.prefix) / "lib/EXTERNALLY-MANAGED").touch()
    assert damage(store, "quick", "lib/EXTERNALLY-MANAGED") == Damage()
    assert damage(store, "quick") == Damage(unexpected=("lib/EXTERNALLY-MANAGED",))


def test_quick_reads_only_what_changed_and_full_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digest = digesting._digest

    def noted(path: str) -> bytes:
        read.append(os.path.relpath(path, store.prefix))
        return digest(path)

    monkeypatch.setattr(digesting, "_digest", noted)
    check(store)
    assert read == []
    os.utime(os.path.join(store.prefix, "bin/tool"))
    check(store)
    assert read == ["bin/tool"]
    read.clear()
    check(store, "full")
    assert sorted(read) == ["bin/tool", "lib/__pycache__/x.cpython-311.pyc", "lib/x.py"]


def test_what_was_found_intact_is_taken_into_the_index(store: Store) -> None:
    os.utime(os.path.join(store.prefix, "bin/tool"))
    found = check(store)
    assert found.fresh_index == stat_index(store.prefix)
    store.write_index(GENERATION, found.fresh_index or b"")
    assert check(store) == UNDAMAGED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda prefix: (prefix / "bin/tool").write_bytes(b"fool"), Damage(modified=("bin/tool",))),
        (lambda prefix: (prefix / "bin/mine").touch(), Damage(unexpected=("bin/mine",))),
        (lambda prefix: (prefix / "lib/empty").chmod(0o700), Damage(modified=("lib/empty",))),
    ],
)
@pytest.mark.parametrize("depth", ["quick", "full"])
def test_what_differs_is_found_again_and_what_does_not_is_not_read_again(
    store: Store, depth: str, change: t.Callable[[Path], object], expected: Damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(os.path.join(store.prefix, "lib/x.py"))
    change(Path(store.prefix))
    found = check(store, depth)
    assert found.damage == expected and found.fresh_index is not None
    store.write_index(GENERATION, found.fresh_index)
    assert check(store, depth) == Verified(expected, None)
    monkeypatch.setattr(digesting, "_digest", pytest.fail)
    if expected.modified != ("bin/tool",):
        assert check(store) == Verified(expected, None)


@pytest.mark.parametrize("index", [b"", b"garbage", b"0\0bin/tool\x001 2 3\0"])
def test_without_a_usable_index_all_is_read(store: Store, index: bytes) -> None:
    store.write_index(GENERATION, index)
    (Path(store.prefix) / "bin/tool").write_bytes(b"fool")
    assert damage(store) == Damage(modified=("bin/tool",))


def test_an_index_of_another_device_vouches_for_nothing(store: Store) -> None:
    device = store.index(GENERATION).split(b"\0", 1)[0]
    rewritten = Path(store.prefix) / "bin/tool"
    rewritten.write_bytes(b"fool")
    store.write_index(GENERATION, b"%d\0" % (int(device) + 1) + stat_index(store.prefix).partition(b"\0")[2])
    assert damage(store) == Damage(modified=("bin/tool",))


def test_directories_that_cannot_be_read_are_an_error_to_those_who_put_right(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = Path(store.prefix)
    open_to_all(prefix)
    (prefix / "lib/empty").chmod(0o700)
    (prefix / "lib/x.py").chmod(0o600)
    monkeypatch.chdir(prefix)
    relative = Store(".", "ml")
    relative.prefix = "."
    monkeypatch.setattr(relative, "index", store.index)
    items = store.receipt(GENERATION)
    monkeypatch.setattr(relative, "receipt", lambda _generation: items)

    def look() -> None:
        with pytest.raises(PermissionError, match="lib/empty"):
            verify(relative, ".", GENERATION, "full")
        found = examine(relative, ".", GENERATION, "full")
        assert found.denied == {"lib/empty": "Permission denied"}
        kinds = {(finding.kind, finding.path) for finding in found.findings}
        assert kinds == {("mode-changed", "lib/empty"), ("mode-changed", "lib/x.py"), ("unreadable", "lib/x.py")}

    as_a_user(look)


def open_to_all(path: Path) -> None:
    """Let other users come as far as *path*, where tests have their directories."""
    for each in (path, *path.parents):
        if each.stat().st_uid == os.geteuid() and each.name.startswith(("pytest", "test", "ml", "popen")):
            each.chmod(0o755)
