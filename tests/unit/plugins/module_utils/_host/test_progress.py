# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress


def test_names_that_are_no_text_are_said_too(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    with Progress(str(path)) as progress:
        progress.say("reading a\udcff\nb")
        assert path.read_bytes() == b"reading a\\udcff b\n"
    assert not path.exists()


def test_that_somebody_removed_the_file_is_no_error(tmp_path: Path) -> None:
    with Progress(str(tmp_path / "progress")):
        (tmp_path / "progress").unlink()
