# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts lack is cut out of the archive once for all that hold the same, and only where that pays."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoded
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import members
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis
from ansible_collections.airgap.conda.plugins.module_utils._model.files import unpack_files
from ansible_collections.airgap.conda.plugins.module_utils._model.list_delta import patched_list
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import FILES_PIECE
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle
from ansible_collections.airgap.conda.plugins.plugin_utils._deltas import delta_for, remember
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    file,
    make_bundle,
    noise,
    tool_members,
)

BIG = noise(1, 50_000)


def bundle_of(tiny: TinyBundle, cache: Path) -> Bundle:
    return Bundle(str(tiny.path), str(cache))


def members_of(archive: str) -> list[str]:
    with open(archive, "rb") as opened, decoded("zstd", opened) as tar:
        return [member.name for member, _data in members(tar)]


@pytest.fixture
def tiny(tmp_path: Path) -> TinyBundle:
    more = [file("share/big", BIG), file("share/twin", b"twin"), file("zz/twin", b"twin")]
    return make_bundle(tmp_path / "1.0", sorted([*tool_members("1.0"), *more], key=lambda each: each.entry.path))


def lost(tiny: TinyBundle, *paths: str) -> Basis:
    digests = {entry.sha256 for entry in tiny.entries if entry.path in paths}
    return Basis(tiny.manifest.content_id, tuple(sorted(digests)))


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ([], []),
        (["bin/tool"], ["bin/tool"]),
        (["bin/tool", "lib/libtool.so.1"], ["bin/tool", "lib/libtool.so.1"]),
        # A content that is lost is lost under each of its names.
        (["zz/twin"], ["share/twin", "zz/twin"]),
    ],
)
def test_what_is_lost_is_all_that_is_sent(tiny: TinyBundle, tmp_path: Path, paths: list[str], found: list[str]) -> None:
    # Nobody has to remember a bundle that is at hand.
    made = delta_for(bundle_of(tiny, tmp_path / "cache"), lost(tiny, *paths), "zstd")
    assert made
    encoding, archive = made
    assert members_of(archive) == found
    assert encoding.piece.size == os.path.getsize(archive) < 1000


def test_it_is_made_once_for_all_hosts_that_hold_the_same(tiny: TinyBundle, tmp_path: Path) -> None:
    first = delta_for(bundle_of(tiny, tmp_path / "cache"), lost(tiny, "bin/tool"), "zstd")
    assert first
    inode = os.stat(first[1]).st_ino
    assert delta_for(bundle_of(tiny, tmp_path / "cache"), lost(tiny, "bin/tool"), "zstd") == first
    assert os.stat(first[1]).st_ino == inode
    other = delta_for(bundle_of(tiny, tmp_path / "cache"), lost(tiny, "lib/libtool.so.1"), "zstd")
    assert other and other[1] != first[1]


def test_an_upgrade_of_what_drifted_brings_what_changed_and_what_is_lost(tiny: TinyBundle, tmp_path: Path) -> None:
    more = [file("share/big", BIG), file("share/twin", b"twin")]
    newer = make_bundle(tmp_path / "2.0", sorted([*tool_members("1.0"), *more, file("new", b"new")], key=str))
    remember(bundle_of(tiny, tmp_path / "cache"))
    made = delta_for(bundle_of(newer, tmp_path / "cache"), lost(tiny, "share/twin", "lib/libtool.so.1"), "zstd")
    assert made
    assert sorted(members_of(made[1])) == ["lib/libtool.so.1", "new", "share/twin"]


@pytest.mark.parametrize("base", ["../../../../tmp/x", "f" * 64, "", "*"])
def test_what_nobody_knows_gets_the_whole_and_names_no_file(tiny: TinyBundle, tmp_path: Path, base: str) -> None:
    cache = tmp_path / "cache"
    assert delta_for(bundle_of(tiny, cache), Basis(base, ("../x",)), "zstd") is None
    assert all(os.path.dirname(path) == str(cache) for path in map(str, cache.rglob("*")))


def test_most_of_it_is_the_whole(tiny: TinyBundle, tmp_path: Path) -> None:
    assert delta_for(bundle_of(tiny, tmp_path / "cache"), lost(tiny, "share/big"), "zstd") is None


# --- lists ----------------------------------------------------------------------------------------------------------

CODEC = "gzip"


@pytest.fixture
def older(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "1.0", [*tool_members("1.0"), file("share/big", noise(3, 20_000))])


@pytest.fixture
def newer(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "2.0", [*tool_members("2.0"), file("share/big", noise(3, 20_000))])


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def list_piece(bundle: Bundle) -> tuple[str, t.Any]:
    return next((path, piece) for kind, path, piece in bundle.pieces() if kind == FILES_PIECE)


def test_the_list_is_offered_as_what_the_older_one_lacks(older: TinyBundle, newer: TinyBundle, cache: str) -> None:
    remember(Bundle(str(older.path), cache))
    bundle = Bundle(str(newer.path), cache)
    bundle.build_on(Basis(older.manifest.content_id), CODEC)
    path, piece = list_piece(bundle)
    lists = [unpack_files((each.path / "files.jsonl.gz").read_bytes()) for each in (older, newer)]
    assert patched_list(lists[0], Path(path).read_bytes()) == lists[1]
    assert bundle.size == sum(os.path.getsize(path) for _kind, path, _piece in bundle.pieces())
    # Once for all that share the cache.
    made = os.stat(path)
    another = Bundle(str(newer.path), cache)
    another.build_on(Basis(older.manifest.content_id), CODEC)
    assert list_piece(another) == (path, piece) and another.stream == bundle.stream
    assert os.stat(path).st_ino == made.st_ino


def test_the_whole_list_goes_with_the_whole_archive(older: TinyBundle, newer: TinyBundle, cache: str) -> None:
    bundle = Bundle(str(newer.path), cache)
    whole = list_piece(bundle)
    # Nothing is known of it yet.
    bundle.build_on(Basis(older.manifest.content_id), CODEC)
    assert bundle.basis == Basis() and list_piece(bundle) == whole
    remember(Bundle(str(older.path), cache))
    bundle.build_on(Basis(older.manifest.content_id), CODEC)
    assert list_piece(bundle) != whole
    bundle.build_on(Basis(), CODEC)
    assert bundle.basis == Basis() and list_piece(bundle) == whole
