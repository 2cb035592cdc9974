# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is offered to a host that has an older bundle."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.files import unpack_files
from ansible_collections.airgap.conda.plugins.module_utils._model.list_delta import patched_list
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import FILES_PIECE
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle
from ansible_collections.airgap.conda.plugins.plugin_utils._deltas import remember
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    file,
    make_bundle,
    noise,
    tool_members,
)

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
    bundle.build_on(older.manifest.content_id, CODEC)
    path, piece = list_piece(bundle)
    lists = [unpack_files((each.path / "files.jsonl.gz").read_bytes()) for each in (older, newer)]
    assert patched_list(lists[0], Path(path).read_bytes()) == lists[1]
    assert bundle.size == sum(os.path.getsize(path) for _kind, path, _piece in bundle.pieces())
    # Once for all that share the cache.
    made = os.stat(path)
    another = Bundle(str(newer.path), cache)
    another.build_on(older.manifest.content_id, CODEC)
    assert list_piece(another) == (path, piece) and another.stream == bundle.stream
    assert os.stat(path).st_ino == made.st_ino


def test_the_whole_list_goes_with_the_whole_archive(older: TinyBundle, newer: TinyBundle, cache: str) -> None:
    bundle = Bundle(str(newer.path), cache)
    whole = list_piece(bundle)
    # Nothing is known of it yet.
    bundle.build_on(older.manifest.content_id, CODEC)
    assert bundle.base == "" and list_piece(bundle) == whole
    remember(Bundle(str(older.path), cache))
    bundle.build_on(older.manifest.content_id, CODEC)
    assert list_piece(bundle) != whole
    bundle.build_on("", CODEC)
    assert bundle.base == "" and list_piece(bundle) == whole
