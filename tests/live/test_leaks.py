# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What names the builder is refused or reported, as the role is told."""

from __future__ import annotations

import json
from pathlib import Path

from world.ansible import Play, play

SPEC = """\
name: telling
channels: [conda-forge]
dependencies: [libzlib]
variables: {{NOTES: "{home}/notes"}}
"""


def build(here: Path, channel: str, **variables: object) -> Play:
    """Build as somebody whose home is *here*."""
    (here / "environment.yml").write_text(SPEC.format(home=here))
    given = json.dumps({"env_build_channels": [channel], **variables})
    return play("airgap.conda.build", "-e", given, cwd=here, home=here)


def test_the_policy_decides_again_with_every_run(channel: str, tmp_path: Path) -> None:
    refused = build(tmp_path, channel)
    told = f"what is packed names the builder: conda-meta/state (the home directory {tmp_path}"
    assert refused.rc != 0 and told in refused.output, refused.output
    assert list(tmp_path.glob("dist/*")) == []
    report = {"env_build_leaks": {"policy": "report"}}
    for changed in (1, 0):
        reported = build(tmp_path, channel, **report)
        # The environment is there since the first run.
        assert reported.rc == 0 and reported.changed == changed, reported.output
        assert told in reported.output and "WARNING" in reported.output
    assert told in build(tmp_path, channel).output
    exempt = build(tmp_path, channel, env_build_leaks={"exempt": ["conda-meta/state"]})
    assert exempt.rc == 0 and exempt.changed == 0 and "names the builder" not in exempt.output, exempt.output
