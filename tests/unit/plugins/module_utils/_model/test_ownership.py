# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.ownership import claim_of, grouped, is_record

CONDA = "conda-meta/my-tool-1.0-py311_0.json"
WHEEL = "lib/python3.11/site-packages/six-1.16.0.dist-info/RECORD"


@pytest.mark.parametrize(
    ("path", "record"),
    [
        (CONDA, True),
        (WHEEL, True),
        ("conda-meta/history", False),
        ("conda-meta/frozen", False),
        ("conda-meta/x/my-tool-1.0-0.json", False),
        ("share/my-tool-1.0-0.json", False),
        ("lib/python3.11/site-packages/six-1.16.0.dist-info/METADATA", False),
        ("lib/odd\n/six-1.16.0.dist-info/RECORD", True),
    ],
)
def test_what_says_which_files_a_package_brought(path: str, record: bool) -> None:
    assert is_record(path) == record


@pytest.mark.parametrize(
    ("path", "text", "files"),
    [
        (CONDA, json.dumps({"files": ["bin/tool"]}).encode(), {"bin/tool"}),
        (CONDA, b"{}", set()),
        (CONDA, b"[]", set()),
        (CONDA, b"no json", set()),
        (
            WHEEL,
            b'six.py,sha256=x,1\n../../../bin/six,,\n"odd,name.py",,\n\n/abs/x,,\n',
            {
                "lib/python3.11/site-packages/six.py",
                "bin/six",
                "lib/python3.11/site-packages/odd,name.py",
                "/abs/x",
            },
        ),
        (WHEEL, b"caf\xe9.py,,\n", {"lib/python3.11/site-packages/caf\udce9.py"}),
        (WHEEL, b"", set()),
    ],
)
def test_the_files_that_a_record_lists(path: str, text: bytes, files: set[str]) -> None:
    claim = claim_of(path, text)
    assert claim and set(claim.paths) == files


def test_files_are_told_by_package_and_then_one_by_one() -> None:
    six, tool = claim_of(WHEEL, b"../../../bin/six,,\n"), claim_of(CONDA, b'{"files": ["bin/tool", "bin/six"]}')
    assert six and tool
    records = [six, tool]
    paths = [WHEEL, "bin/six", CONDA, "bin/tool", "z", "a"]
    assert grouped(paths, records) == ["my-tool 1.0 of conda (3 files)", "six 1.16.0 of pip (1 file)", "a", "z"]
    assert grouped([], records) == []
