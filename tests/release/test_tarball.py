# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published, and what Galaxy says of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
from pathlib import Path

from world import ansible

HERE = Path(__file__).parent
#: Where flake8 is at odds with the formatter, and with PEP 8: a space before a colon, an operator that begins a line,
#: and a body of "..." on its line.
FORMATTED = re.compile(r": (E203|E704|W503) ")
#: All that a user of the collection has use for.
SHIPPED = {
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "COPYING",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "REUSE.toml",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "requirements.txt",
    "roles",
}


def test_the_tarball_holds_what_users_need_and_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert {name.split("/")[0] for name in names} == SHIPPED
    assert {"plugins/modules/env_deploy.py", "roles/env_deploy/tasks/main.yml", "playbooks/rollout.yml"} <= set(names)
    assert not [name for name in names if name.endswith((".pyc", ".orig", "~")) or "__pycache__" in name]


def test_galaxy_takes_it_without_a_warning(tarball: Path, tools: Path, tmp_path: Path) -> None:
    """All checks of the importer but ansible-test, which it runs in a container only."""
    shutil.copy(tarball, tmp_path)
    (tmp_path / "tmp").mkdir()
    variables = {
        "GALAXY_IMPORTER_CONFIG": str(HERE / "galaxy-importer.cfg"),
        "GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP": str(tmp_path / "tmp"),
        "GALAXY_IMPORTER_TMP_ROOT_DIR": str(tmp_path / "tmp"),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": "",
    }
    command = [str(tools / "python"), "-m", "galaxy_importer.main", tarball.name]
    done = ansible.run(command, cwd=tmp_path, home=tmp_path, environment=variables)
    said = done.output.splitlines()
    assert done.rc == 0 and said[-1] == "Importer processing completed successfully", done.output
    assert "...ansible-lint run complete" in said
    warnings = [line for line in said if line.startswith(("WARNING", "ERROR", "CRITICAL"))]
    assert [line for line in warnings if not FORMATTED.search(line)] == [], done.output
    contents = json.loads((tmp_path / "importer_result.json").read_text())["contents"]
    found = {(each["content_type"], each["name"]) for each in contents}
    assert {("module", "env_deploy"), ("role", "env_build"), ("playbook", "rollout.yml")} <= found
