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
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import verify_piece
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import parse_order
from ansible_collections.airgap.conda.plugins.plugin_utils import _bundles
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle, Shelf
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    make_bundle,
    snapshot,
    tool_members,
)


@pytest.fixture
def tiny(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "1.0", tool_members("1.0"))


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def bundle_of(tiny: TinyBundle, cache: str) -> Bundle:
    return Bundle(str(tiny.path), cache)


def test_a_host_is_offered_what_it_needs_to_decide(tiny: TinyBundle, cache: str) -> None:
    bundle = bundle_of(tiny, cache)
    assert bundle.offer() == tiny.offer
    order = {"name": "ml", "envs_dir": "/envs", "state": "present", "verify": "quick", "bytecode": True}
    offer = parse_order({**order, "offers": {"linux-64": bundle.offer()}}).offers["linux-64"]
    assert (offer.size, offer.stream) == (len(tiny.stream), bundle.stream)


def test_pieces_lie_where_they_are_said_to(tiny: TinyBundle, cache: str) -> None:
    for _kind, path, piece in bundle_of(tiny, cache).pieces():
        assert os.path.getsize(path) == piece.size


def test_programs_are_known_once_the_file_list_was_read(tiny: TinyBundle, cache: str) -> None:
    assert bundle_of(tiny, cache).programs() == {"tool"}
    (tiny.path / "files.jsonl.gz").unlink()
    assert bundle_of(tiny, cache).programs() == {"tool"}
    with pytest.raises(BundleError, match="the file list cannot be read"):
        bundle_of(tiny, cache + "-other").programs()


# --- verified once --------------------------------------------------------------------------------------------------


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read to be verified."""
    found: list[str] = []

    def noted(directory: str, piece: t.Any) -> None:
        found.append(piece.file)
        verify_piece(directory, piece)

    monkeypatch.setattr(_bundles, "verify_piece", noted)
    return found


BOTH = ["files.jsonl.gz", "archive.tar.zst"]


def test_a_bundle_is_read_once_by_all_that_share_the_cache(tiny: TinyBundle, cache: str, verified: list[str]) -> None:
    bundle_of(tiny, cache).verify()
    assert verified == BOTH
    bundle_of(tiny, cache).verify()
    assert verified == BOTH
    bundle_of(tiny, cache + "-other").verify()
    assert verified == BOTH * 2


def test_a_file_whose_stat_changed_is_read_again(tiny: TinyBundle, cache: str, verified: list[str]) -> None:
    bundle_of(tiny, cache).verify()
    status = tiny.archive.stat()
    time.sleep(0.02)
    data = tiny.archive.read_bytes()
    tiny.archive.write_bytes(data[:-1] + b"x")
    os.utime(tiny.archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    for _again in range(2):
        with pytest.raises(BundleError, match=r"archive\.tar\.zst is damaged"):
            bundle_of(tiny, cache).verify()
    tiny.archive.write_bytes(data)
    bundle_of(tiny, cache).verify()
    assert verified == [*BOTH, *["archive.tar.zst"] * 3]


def test_the_same_bundle_elsewhere_is_read_there_too(
    tiny: TinyBundle, cache: str, verified: list[str], tmp_path: Path
) -> None:
    bundle_of(tiny, cache).verify()
    shutil.copytree(tiny.path, tmp_path / "stick")
    Bundle(str(tmp_path / "stick"), cache).verify()
    assert verified == BOTH * 2


def test_a_missing_file_is_told_each_time(tiny: TinyBundle, cache: str) -> None:
    tiny.archive.unlink()
    for _again in range(2):
        with pytest.raises(BundleError, match="cannot be read"):
            bundle_of(tiny, cache).verify()


def test_nothing_is_written_to_the_media(tiny: TinyBundle, cache: str) -> None:
    before = snapshot(tiny.path)
    bundle = bundle_of(tiny, cache)
    bundle.verify()
    bundle.encode("gzip")
    assert snapshot(tiny.path) == before
    assert os.stat(cache).st_mode & 0o077 == 0


# --- found ----------------------------------------------------------------------------------------------------------


def test_environments_of_one_bundle_share_one_object(tiny: TinyBundle, cache: str) -> None:
    shelf = Shelf(cache)
    assert shelf.bundle(str(tiny.path)) is shelf.bundle(str(tiny.path))


def test_a_bundle_is_found_by_the_text_beside_it(tiny: TinyBundle, cache: str, tmp_path: Path) -> None:
    (tmp_path / "ml-linux-64.latest").write_text("1.0\n")
    assert Shelf(cache).bundle(str(tmp_path / "ml-linux-64")).directory == str(tiny.path)


@pytest.mark.parametrize("length", [0, 5])
def test_a_copy_that_was_cut_is_told_without_reading_it(
    tiny: TinyBundle, cache: str, verified: list[str], length: int
) -> None:
    os.truncate(tiny.archive, length)
    with pytest.raises(BundleError, match=rf"archive\.tar\.zst has {length} bytes, the manifest says"):
        Shelf(cache).bundle(str(tiny.path))
    assert verified == []


def test_what_is_no_bundle_is_told(cache: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        Shelf(cache).bundle(str(tmp_path))
