# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths that several packages bring."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.handmade import (
    Handmade,
    PackageFile,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.packed import (
    pack,
    refused,
    staged,
)


def claimed(made: Handmade, winner: str) -> None:
    """Two packages bring one path, as conda leaves that: both records name it, one file is there."""
    for name in ("tool-a", "tool-b"):
        if (made.prefix / "share/both").exists():
            (made.prefix / "share/both").unlink()
        made.install(name, {"share/both": PackageFile(f"of {name}".encode()), f"share/{name}": PackageFile(b"own")})
    (made.prefix / "share/both").unlink()
    os.link(made.cache / f"{winner}-1.0-0/share/both", made.prefix / "share/both")


@pytest.mark.parametrize(("winner", "loser"), [("tool-a", "tool-b"), ("tool-b", "tool-a")])
def test_of_two_packages_the_one_whose_file_is_there_has_the_path(
    made: Handmade, tmp_path: Path, winner: str, loser: str
) -> None:
    claimed(made, winner)
    root = staged(pack(made, tmp_path / "dist"), "/opt/envs/ml", tmp_path / "host")
    assert (root / "share/both").read_text() == f"of {winner}"
    named = {name: json.loads((root / f"conda-meta/{name}-1.0-0.json").read_text()) for name in (winner, loser)}
    assert sorted(named[winner]["files"]) == ["share/both", f"share/{winner}"]
    assert named[loser]["files"] == [f"share/{loser}"]
    assert [path["_path"] for path in named[loser]["paths_data"]["paths"]] == [f"share/{loser}"]


def test_what_rattler_kept_of_the_loser_stays_behind(made: Handmade, tmp_path: Path) -> None:
    claimed(made, "tool-a")
    record = made.prefix / "conda-meta/tool-b-1.0-0.json"
    moved = "__clobbers__/tool-b/share/both"
    record.write_text(record.read_text().replace('"share/both"', f'"{moved}"'))
    made.put(moved, b"of tool-b")
    packed = pack(made, tmp_path / "dist")
    root = staged(packed, "/opt/envs/ml", tmp_path / "host")
    assert (root / "share/both").read_text() == "of tool-a"
    assert json.loads((root / "conda-meta/tool-b-1.0-0.json").read_text())["files"] == ["share/tool-b"]
    assert not any(path.startswith("__clobbers__") for path in packed.entries)


def test_a_link_that_two_packages_bring_travels_though_it_leads_nowhere(made: Handmade, tmp_path: Path) -> None:
    for name in ("tool-a", "tool-b"):
        (made.prefix / "lib/both").unlink(missing_ok=True)
        made.install(name, {"lib/both": PackageFile(target="nowhere")})
    assert pack(made, tmp_path / "dist").entries["lib/both"].target == "nowhere"


def test_a_path_that_is_none_of_theirs_is_refused(made: Handmade, tmp_path: Path) -> None:
    claimed(made, "tool-a")
    (made.prefix / "share/both").unlink()
    made.put("share/both", b"of somebody")
    assert "changed after they were installed" in refused(made, tmp_path)
