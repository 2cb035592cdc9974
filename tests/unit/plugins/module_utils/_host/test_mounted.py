# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bundle is read where it lies, whole or in the parts of a medium."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.medium import cut
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import TinyBundle


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    path = tmp_path / "stick"
    path.mkdir()
    return path


def lay(bundle: TinyBundle, stick: Path, part_size: int) -> list[Path]:
    """Lay every file of *bundle* on a stick, cut as a medium has them; return the parts of its archive."""
    for path in bundle.path.iterdir():
        data = path.read_bytes()
        for name, offset, size in cut(path.name, len(data), part_size):
            (stick / name).write_bytes(data[offset : offset + size])
    return sorted(stick.glob("archive.*"))


def deploy(site: Site, bundle: TinyBundle, stick: Path) -> dict[str, t.Any]:
    return site.run(site.order(bundle, source={"type": "path", "path": str(stick)}))


@pytest.mark.parametrize("part_size", [7, 500, 1 << 20])
def test_a_bundle_in_parts_is_deployed_where_it_lies(site: Site, one: TinyBundle, stick: Path, part_size: int) -> None:
    parts = lay(one, stick, part_size)
    done = deploy(site, one, stick)
    assert done["changed"] and not done["awaited"]
    assert done["environments"][0]["content_id"] == one.manifest.content_id
    assert all(part.exists() for part in parts)
    assert not deploy(site, one, stick)["changed"]


@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_part_that_is_missing_is_noticed_before_anything_is_read(
    site: Site, one: TinyBundle, stick: Path, lost: int
) -> None:
    lay(one, stick, 500)[lost].unlink()
    size = one.manifest.encodings[0].piece.size
    with pytest.raises(DeployError, match=rf"archive\.tar\.zst has \d+ bytes, the controller's archive {size};"):
        deploy(site, one, stick)


def test_parts_in_another_order_are_refused(site: Site, one: TinyBundle, stick: Path) -> None:
    first, second, *_others = lay(one, stick, 500)
    first.rename(stick / "third")
    second.rename(first)
    (stick / "third").rename(second)
    with pytest.raises(DeployError, match="copy the bundle again"):
        deploy(site, one, stick)
    assert not site.prefix.exists()


def test_what_is_not_there_is_named(site: Site, one: TinyBundle, stick: Path) -> None:
    for part in lay(one, stick, 1 << 20):
        part.unlink()
    with pytest.raises(DeployError, match=r"archive\.tar\.zst cannot be read \(No such file or directory\); put "):
        deploy(site, one, stick)
