# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changelog is what antsibull-changelog makes of the fragments, and the next one can be made."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml
from world import ansible

CHECKOUT = Path(__file__).parents[2]
USED = ("changelogs", "meta", "plugins", "roles", "galaxy.yml", "CHANGELOG.md")


def test_the_changelog_is_generated_and_the_next_one_can_be(tools: Path, tmp_path: Path) -> None:
    copy = tmp_path / "ansible_collections/airgap/conda"
    copy.mkdir(parents=True)
    for name in USED:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, copy / name)
        else:
            shutil.copy(CHECKOUT / name, copy / name)
    program = str(tools / "antsibull-changelog")
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "PYTHONPATH": ""}
    if yaml.safe_load((copy / "changelogs/changelog.yaml").read_text())["releases"]:
        done = ansible.run([program, "generate"], cwd=copy, environment=environment)
        assert done.rc == 0, done.output
        assert (copy / "CHANGELOG.md").read_text() == (CHECKOUT / "CHANGELOG.md").read_text()
    fragments = [yaml.safe_load(path.read_text()) for path in (copy / "changelogs/fragments").glob("*.yml")]
    done = ansible.run([program, "release", "--version", "9999.0.0"], cwd=copy, environment=environment)
    assert done.rc == 0, done.output
    text = (copy / "CHANGELOG.md").read_text()
    assert "v9999" in text
    for fragment in fragments:
        assert "release_summary" not in fragment or "### Release Summary" in text
        assert "minor_changes" not in fragment or "### Minor Changes" in text
    assert not list((copy / "changelogs/fragments").glob("*.yml"))
