# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.media import (
    Exported,
    export,
    is_taken,
    planned,
    read_medium,
    source_of,
    start_of,
    take,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.medium import (
    PART_MAX,
    cut,
    name_faults,
    parse_index,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    file,
    make_bundle,
    noise,
    snapshot,
    tool_members,
)

PART = 10_000


@pytest.fixture
def bundle(tmp_path: Path) -> TinyBundle:
    blob = noise(2, 35_000)
    return make_bundle(tmp_path / "1.0", [*tool_members("1.0"), file("zz/blob", blob)])


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    return tmp_path / "stick"


def write(bundle: TinyBundle, medium: Path, *start: Path, part_size: int = PART) -> Exported:
    sources = [source_of(str(bundle.path)), *([start_of(map(str, start))] if start else [])]
    return export(sources, str(medium), part_size, Progress())


def read(medium: Path, dist: Path) -> list[str]:
    return [take(item, str(medium), str(dist), Progress()) for item in read_medium(str(medium)) if item.kind != "start"]


@pytest.mark.parametrize("part_size", [1000, PART, PART_MAX])
def test_what_was_written_is_read_again(bundle: TinyBundle, medium: Path, tmp_path: Path, part_size: int) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/x.whl").write_text("wheel")
    (tmp_path / "collection.tar.gz").write_text("collection")
    exported = write(bundle, medium, tmp_path / "wheels", tmp_path / "collection.tar.gz", part_size=part_size)
    assert exported.checksum == hashlib.sha256((medium / "SHA256SUMS").read_bytes()).hexdigest()
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=medium, stdout=subprocess.PIPE, check=True
    )
    named = {line.partition(b":")[0].decode() for line in checked.stdout.splitlines()}
    there = {str(path.relative_to(medium)) for path in medium.rglob("*") if path.is_file()}
    assert named == there - {"SHA256SUMS"}
    assert all((medium / name).stat().st_size <= max(part_size, 2000) or "media.json" in name for name in named)
    assert not [path for path in medium.rglob("*") if path.is_symlink()]
    (taken,) = read(medium, tmp_path / "dist")
    given = snapshot(taken)
    given.pop("licenses.txt")
    assert {name: state[1] for name, state in given.items()} == {
        name: state[1] for name, state in snapshot(bundle.path).items()
    }
    assert [name for name in os.listdir(tmp_path / "dist") if name.startswith(".")] == []
    assert all(is_taken(item, str(tmp_path / "dist")) for item in read_medium(str(medium)) if item.kind == "bundle")


def test_a_second_export_writes_nothing_and_a_stopped_one_goes_on(
    bundle: TinyBundle, medium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(bundle, medium)
    assert planned([source_of(str(bundle.path))], str(medium), PART) == []
    assert write(bundle, medium) == first._replace(changed=[])
    # As if stopped before the last parts, one of them half-written.
    (place,) = (medium / "bundles").iterdir()
    lost = sorted(place.glob("archive.tar.zst.*"))[-2:]
    lost[0].unlink()
    lost[1].rename(f"{lost[1]}.partial")
    (medium / "SHA256SUMS").unlink()
    with pytest.raises(BundleError, match="is incomplete: the export did not come to its end"):
        read_medium(str(medium))
    again = write(bundle, medium)
    assert again.checksum == first.checksum
    assert again.changed == [f"write {path}" for path in (*lost, medium / "SHA256SUMS")]


def test_a_damaged_part_is_written_again(bundle: TinyBundle, medium: Path) -> None:
    first = write(bundle, medium)
    part = next(medium.glob("bundles/*/archive.tar.zst.002"))
    part.write_bytes(bytes(part.stat().st_size))
    assert write(bundle, medium) == Exported([f"write {part}"], first.checksum)


DAMAGE: dict[str, tuple[t.Callable[[Path], object], str]] = {
    "bit": (lambda part: part.write_bytes(bytes(part.stat().st_size)), "002 is damaged; write the medium again$"),
    "short": (lambda part: part.write_bytes(b"x"), "002 has 1 bytes, and had 10000 when it was written"),
    "gone": (lambda part: part.unlink(), "002 is missing; write the medium again$"),
    "no index": (lambda part: (part.parents[2] / "media.json").unlink(), "was not written by bundle_export"),
    "index": (lambda part: (part.parents[2] / "media.json").write_text("{}"), "media.json is damaged"),
    "sums": (lambda part: (part.parents[2] / "SHA256SUMS").write_text(""), "is incomplete"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_medium_is_refused_and_the_part_is_named(
    case: str, bundle: TinyBundle, medium: Path, tmp_path: Path
) -> None:
    write(bundle, medium)
    damage, sentence = DAMAGE[case]
    damage(next(medium.glob("bundles/*/archive.tar.zst.002")))
    with pytest.raises(BundleError, match=sentence):
        read(medium, tmp_path / "dist")
    dist = tmp_path / "dist"
    assert not dist.exists() or [name for name in os.listdir(dist) if not name.startswith(".")] == []


def test_an_import_that_was_stopped_goes_on(bundle: TinyBundle, medium: Path, tmp_path: Path) -> None:
    write(bundle, medium)
    part = next(medium.glob("bundles/*/archive.tar.zst.002"))
    whole = part.read_bytes()
    part.write_bytes(bytes(len(whole)))
    with pytest.raises(BundleError):
        read(medium, tmp_path / "dist")
    (beside,) = (tmp_path / "dist").iterdir()
    assert (beside / "files.jsonl.gz").exists()
    part.write_bytes(whole)
    assert read(medium, tmp_path / "dist") == [str(tmp_path / "dist" / bundle.manifest.label)]


def test_what_an_interrupted_import_left_damaged_is_read_again(
    bundle: TinyBundle, medium: Path, tmp_path: Path
) -> None:
    write(bundle, medium)
    beside = tmp_path / "dist" / f".importing-{bundle.manifest.label}"
    beside.mkdir(parents=True)
    (beside / "archive.tar.zst").write_bytes(bytes(bundle.archive.stat().st_size))
    with pytest.raises(BundleError, match="is damaged"):
        read(medium, tmp_path / "dist")
    assert len(read(medium, tmp_path / "dist")) == 1


def test_a_bundle_that_is_not_whole_is_not_exported(bundle: TinyBundle, medium: Path) -> None:
    bundle.archive.write_bytes(b"")
    with pytest.raises(BundleError, match=r"is not whole; copy the bundle again$"):
        write(bundle, medium)


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (0, [("x", 0, 0)]),
        (10, [("x", 0, 10)]),
        (11, [("x.001", 0, 10), ("x.002", 10, 1)]),
        (30, [("x.001", 0, 10), ("x.002", 10, 10), ("x.003", 20, 10)]),
    ],
)
def test_cuts(size: int, parts: list[tuple[str, int, int]]) -> None:
    assert cut("x", size, 10) == parts


def test_many_parts_sort_by_name() -> None:
    names = [name for name, *_rest in cut("x", 12345, 1)]
    assert names == sorted(names) and len(set(names)) == 12345


@pytest.mark.parametrize(
    "paths", [["a/b", "a/B"], ["A", "a"], ["x."], ["x "], ["a:b"], ["con"], ["nul.txt"], ["a\nb"], ["x" * 256], ["q?"]]
)
def test_names_that_do_not_fit(paths: list[str]) -> None:
    assert len(name_faults(paths)) == 1


def test_names_that_fit() -> None:
    assert name_faults(["bundles/my_env-linux-64-0123456789ab/archive.tar.zst.001", "a+b", "a/b", "console"]) == []


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"format": 1, "items": [{"kind": "x", "name": "a", "files": []}]}']
)
def test_an_index_that_is_none(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"here: media.json is damaged"):
        parse_index(text, "here")


def test_an_index_that_leads_elsewhere() -> None:
    text = b'{"format": 1, "items": [{"kind": "bundle", "name": "../x", "files": []}]}'
    with pytest.raises(BundleError, match="unusable names"):
        parse_index(text, "here")
