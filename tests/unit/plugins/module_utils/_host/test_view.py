# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.view import in_view
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import end_of

#: Without these no host allows a view.
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts take root; run the suite as root")


@pytest.fixture
def trees(tmp_path: Path) -> t.Tuple[Path, Path]:
    """A tree that is not live, and the live one."""
    for name in ("staged", "live"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "what").write_text(name)
    return tmp_path / "staged", tmp_path / "live"


@root_only
def test_only_the_work_sees_the_tree_at_the_prefix(trees: t.Tuple[Path, Path]) -> None:
    staged, live = trees
    before = Path("/proc/self/mounts").read_text()

    def look() -> None:
        (live / "seen").write_text((live / "what").read_text())

    assert in_view(str(staged), str(live), look)
    assert (staged / "seen").read_text() == "staged"
    assert sorted(path.name for path in live.iterdir()) == ["what"]
    assert Path("/proc/self/mounts").read_text() == before


@root_only
@pytest.mark.parametrize("error", [DeployError("no luck: \u00e9"), BundleError("no luck: \u00e9")])
def test_what_the_work_says_is_raised(trees: t.Tuple[Path, Path], error: Exception) -> None:
    def work() -> None:
        raise error

    with pytest.raises(DeployError, match=r"^no luck: \u00e9$"):
        in_view(str(trees[0]), str(trees[1]), work)


@root_only
def test_work_that_ends_without_a_word_is_an_error(trees: t.Tuple[Path, Path]) -> None:
    with pytest.raises(DeployError, match="broke off; run again"):
        in_view(str(trees[0]), str(trees[1]), lambda: os.kill(os.getpid(), signal.SIGKILL))


@root_only
def test_there_is_no_view_without_a_directory_to_mount_on(trees: t.Tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(trees[1])
    for prefix in ("none", "link", "live/what"):
        assert not in_view(str(trees[0]), str(tmp_path / prefix), lambda: None)


@root_only
def test_there_is_no_view_for_a_plain_user(trees: t.Tuple[Path, Path]) -> None:
    def as_nobody() -> None:
        os.setgid(65534)
        os.setuid(65534)
        os._exit(7 if in_view(str(trees[0]), str(trees[1]), lambda: os._exit(1)) else 3)

    assert end_of(as_nobody) == 3
