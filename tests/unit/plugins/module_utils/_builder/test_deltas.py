# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import random
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.deltas import (
    Applied,
    apply_delta,
    delta_directory,
    is_made,
    make_delta,
    read_older,
    read_side,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    Member,
    TinyBundle,
    file,
    link,
    make_bundle,
    snapshot,
    tool_members,
)

BLOB = random.Random(1).randbytes(100_000)


def bundle(path: Path, *members: Member) -> TinyBundle:
    return make_bundle(path, sorted(members, key=lambda member: member.entry.path))


@pytest.fixture
def older(tmp_path: Path) -> TinyBundle:
    return bundle(tmp_path / "1.0", *tool_members("1.0"), file("share/big", BLOB), file("share/moves", BLOB[::-1]))


@pytest.fixture
def newer(tmp_path: Path) -> TinyBundle:
    moved = [file("a/first", BLOB[::-1]), file("zz/last", BLOB, 0o755), link("share/link", "big")]
    return bundle(tmp_path / "2.0", *tool_members("2.0"), file("share/big", BLOB), *moved)


def make(older: TinyBundle, newer: TinyBundle, dist: Path) -> Path:
    make_delta(read_side(str(older.path)), read_side(str(newer.path)), str(dist))
    return Path(delta_directory(str(dist), older.manifest, newer.manifest))


def test_the_older_bundle_and_the_delta_give_the_newer_back(
    older: TinyBundle, newer: TinyBundle, tmp_path: Path
) -> None:
    delta = make(older, newer, tmp_path / "deltas")
    # What is there already, moved or not, is not held again.
    assert sum(path.stat().st_size for path in delta.iterdir()) < newer.archive.stat().st_size
    applied = apply_delta(read_side(str(older.path)), str(delta), str(tmp_path / "dist"))
    label = newer.manifest.label
    assert applied == Applied(str(tmp_path / "dist" / label), True, True)
    given = snapshot(applied.directory)
    given.pop("licenses.txt")
    assert given == snapshot(newer.path)
    assert os.readlink(tmp_path / "dist" / label.rpartition("-")[0]) == label
    assert not [name for name in os.listdir(tmp_path / "dist") if name.startswith(".")]
    again = apply_delta(read_side(str(older.path)), str(delta), str(tmp_path / "dist"))
    assert again == applied._replace(changed=False)


def test_another_zstd_gives_the_same_tar(
    older: TinyBundle, newer: TinyBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delta = make(older, newer, tmp_path / "deltas")
    from ansible_collections.airgap.conda.plugins.module_utils._builder import archive

    monkeypatch.setattr(archive, "LEVEL", 1)
    applied = apply_delta(read_side(str(older.path)), str(delta), str(tmp_path / "dist"))
    assert not applied.identical
    given = read_side(applied.directory).manifest
    assert given._replace(encodings=()) == newer.manifest._replace(encodings=())
    archive_piece = given.encodings[0].piece
    assert os.path.getsize(os.path.join(applied.directory, archive_piece.file)) == archive_piece.size


def test_equal_bundles_give_equal_deltas(older: TinyBundle, newer: TinyBundle, tmp_path: Path) -> None:
    first, second = (make(older, newer, tmp_path / name) for name in ("one", "two"))
    assert snapshot(first) == snapshot(second)
    assert is_made(str(first), older.manifest, newer.manifest)
    assert not is_made(str(first), newer.manifest, older.manifest)
    (first / "delta.tar.zst").write_bytes(b"")
    assert not is_made(str(first), older.manifest, newer.manifest)


def test_back_again_is_a_delta_too(older: TinyBundle, newer: TinyBundle, tmp_path: Path) -> None:
    delta = make(newer, older, tmp_path / "deltas")
    applied = apply_delta(read_side(str(newer.path)), str(delta), str(tmp_path / "dist"))
    assert Path(applied.directory, "archive.tar.zst").read_bytes() == older.archive.read_bytes()


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda delta: spoil(delta / "delta.tar.zst"), "is damaged"),
        (lambda delta: (delta / "delta.tar.zst").unlink(), "cannot be read"),
        (lambda delta: (delta / "delta.json").unlink(), "is not a delta"),
        (lambda delta: spoil(delta / "files.jsonl.gz"), "is damaged"),
        (lambda delta: (delta / "manifest.json").unlink(), "is not a bundle"),
    ],
)
def test_a_damaged_delta_gives_nothing(
    damage: t.Callable[[Path], None], message: str, older: TinyBundle, newer: TinyBundle, tmp_path: Path
) -> None:
    delta = make(older, newer, tmp_path / "deltas")
    damage(delta)
    with pytest.raises(BundleError, match=message):
        apply_delta(read_side(str(older.path)), str(delta), str(tmp_path / "dist"))
    assert not (tmp_path / "dist").exists() or os.listdir(tmp_path / "dist") == []


def test_a_damaged_older_bundle_gives_nothing(older: TinyBundle, newer: TinyBundle, tmp_path: Path) -> None:
    delta = make(older, newer, tmp_path / "deltas")
    spoil(older.archive)
    with pytest.raises(BundleError, match="is damaged"):
        apply_delta(read_side(str(older.path)), str(delta), str(tmp_path / "dist"))


def test_a_delta_is_for_one_bundle(older: TinyBundle, newer: TinyBundle, tmp_path: Path) -> None:
    delta = make(older, newer, tmp_path / "deltas")
    with pytest.raises(BundleError, match=r"is for .*; give the bundle it was made for$"):
        apply_delta(read_side(str(newer.path)), str(delta), str(tmp_path / "dist"))
    assert read_older(str(delta), [str(tmp_path), str(newer.path), str(older.path)]) == str(older.path)
    with pytest.raises(BundleError, match=r"^there is no bundle .*, for which"):
        read_older(str(delta), [str(newer.path)])
