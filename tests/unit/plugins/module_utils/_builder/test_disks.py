# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.digests import digest
from ansible_collections.airgap.conda.plugins.module_utils._builder.disks import sweep, watched
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError, SpecError


def test_the_digest_of_a_tree_is_that_of_its_sources(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("a = 1\n")
    before = digest(str(tmp_path))
    for name in ("build", ".git", "src/__pycache__", "x.egg-info"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "made").write_text("by building")
    assert digest(str(tmp_path)) == before
    (tmp_path / "src/a.py").rename(tmp_path / "src/b.py")
    assert digest(str(tmp_path)) != before


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone cannot be read: No such file"):
        digest(str(tmp_path / "gone"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A package cache with one package and one half of a package."""
    (tmp_path / "pkgs/a-1-0-key").mkdir(parents=True)
    (tmp_path / "pkgs/.b-1-0-keyXyZ123").mkdir()
    for name in ("a-1-0-key.lock", "b-1-0-key.lock", ".cache.lock"):
        (tmp_path / "pkgs" / name).touch()
    return tmp_path / "pkgs"


def test_halves_go_and_nothing_else(cache: Path) -> None:
    sweep(str(cache))
    assert sorted(path.name for path in cache.iterdir()) == [
        ".cache.lock",
        "a-1-0-key",
        "a-1-0-key.lock",
        "b-1-0-key.lock",
    ]


def test_what_somebody_is_extracting_stays(cache: Path) -> None:
    with (cache / "b-1-0-key.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep(str(cache))
    assert (cache / ".b-1-0-keyXyZ123").is_dir()


def test_no_cache_is_no_error(tmp_path: Path) -> None:
    sweep(str(tmp_path / "none"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(122, "Disk quota exceeded"),
        BuildError("installing failed: x; No space left on device (os error 28)"),
        BuildError("pip failed (1): ERROR: Could not install packages due to an OSError: [Errno 28] No space"),
    ],
)
def test_a_full_disk_is_said_in_one_way(error: Exception, cache: Path) -> None:
    message = r"^no space left on the builder \(.* has \d+ MB.*\); make room, or "
    with pytest.raises(BuildError, match=message), watched(str(cache.parent)):
        raise error
    assert not (cache / ".b-1-0-keyXyZ123").exists()


@pytest.mark.parametrize("error", [BuildError("pip failed (1): x"), PermissionError(13, "Permission denied")])
def test_other_errors_pass(error: t.Any, cache: Path) -> None:
    with pytest.raises(type(error)) as raised, watched(str(cache.parent)):
        raise error
    assert raised.value is error
