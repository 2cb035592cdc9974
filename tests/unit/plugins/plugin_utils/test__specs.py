# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError
from ansible_collections.airgap.conda.plugins.plugin_utils._specs import included_files, read_spec


def test_included_files_are_found_for_every_platform(tmp_path: Path) -> None:
    texts = {"a.txt": "-r sub/c.txt\n", "sub/c.txt": "x\n", "b.txt": "é\n"}
    (tmp_path / "sub").mkdir()
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    text = "dependencies:\n  - pip:\n      - -r a.txt  # [win]\n      - -c b.txt\n"
    expected = {str(tmp_path / name): text for name, text in texts.items()}
    assert included_files(text, str(tmp_path / "e.yml")) == expected


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"e\.yml: cannot be read: No such file or directory$"):
        read_spec(str(tmp_path / "e.yml"))
    with pytest.raises(SpecError, match=r"^e\.yml:1: .*r\.txt cannot be read: No such file or directory$"):
        included_files("dependencies: [{pip: [-r r.txt]}]", "e.yml")
