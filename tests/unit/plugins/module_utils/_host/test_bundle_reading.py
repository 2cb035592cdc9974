# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_reading import read_bundle, spec_state
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    make_bundle,
    tool_members,
)


@pytest.fixture
def two(tmp_path: Path) -> tuple[TinyBundle, TinyBundle]:
    old, new = (make_bundle(tmp_path / version, tool_members(version)) for version in ("1.0", "2.0"))
    return old, new


def test_a_bundle_says_what_it_is(two: tuple[TinyBundle, TinyBundle]) -> None:
    old, _new = two
    for verify in (False, True):
        told = read_bundle(str(old.path), verify, None, None)
        assert (told["content_id"], told["verified"], told["spec"]) == (old.manifest.content_id, verify, "")
        assert [package["version"] for package in told["packages"]] == ["1.0"]
        assert told["size"] == old.archive.stat().st_size
        assert "comparison" not in told


def test_two_bundles_are_compared(two: tuple[TinyBundle, TinyBundle]) -> None:
    old, new = two
    found = read_bundle(str(new.path), False, str(old.path), None)
    comparison = found["comparison"]
    assert (comparison["same"], comparison["actions"]) == (False, ["tool 1.0 → 2.0"])
    assert [(each["before"]["version"], each["after"]["version"]) for each in comparison["changed"]] == [("1.0", "2.0")]
    assert comparison["files"]["changed"] == 2 and comparison["files"]["added"] == 1
    assert found["diff"]["before"] == "tool 1.0\n"
    assert read_bundle(str(new.path), False, str(new.path), None)["comparison"]["same"]


def test_what_is_damaged_is_found_by_size_or_by_reading(two: tuple[TinyBundle, TinyBundle]) -> None:
    old, new = two
    data = bytearray(old.archive.read_bytes())
    data[len(data) // 2] ^= 1
    old.archive.write_bytes(data)
    read_bundle(str(old.path), False, None, None)
    with pytest.raises(BundleError, match="is damaged"):
        read_bundle(str(old.path), True, None, None)
    new.archive.write_bytes(b"short")
    with pytest.raises(BundleError, match="has 5 bytes"):
        read_bundle(str(new.path), False, None, None)


@pytest.mark.parametrize("data", [b"garbage", gzip.compress(b"another list\n", mtime=0)], ids=["garbage", "another"])
def test_a_file_list_of_something_else_compares_nothing(two: tuple[TinyBundle, TinyBundle], data: bytes) -> None:
    old, new = two
    (old.path / "files.jsonl.gz").write_bytes(data)
    with pytest.raises(BundleError, match="the file list"):
        read_bundle(str(new.path), False, str(old.path), None)


def test_what_it_was_built_from_is_told_by_digest(two: tuple[TinyBundle, TinyBundle]) -> None:
    manifest = two[0].manifest
    assert spec_state(manifest, "a" * 64) == "unknown"
    built = manifest._replace(spec_sha256="a" * 64)
    assert [spec_state(built, digest) for digest in (None, "a" * 64, "b" * 64)] == ["", "same", "changed"]
