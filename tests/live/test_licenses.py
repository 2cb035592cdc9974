# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Licences as a user of the role meets them: reported in the bundle, and kept out by lists."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from world.ansible import Play, play

SPEC = "name: small\nchannels: [conda-forge]\ndependencies: [readline, libzlib]\n"


def build(channel: str, directory: Path, licenses: dict[str, t.Any], *options: str) -> Play:
    (directory / "environment.yml").write_text(SPEC)
    given = {"env_build_channels": [channel], "env_build_licenses": licenses}
    return play("airgap.conda.build", "-e", json.dumps(given), *options, cwd=directory, home=directory)


def test_lists_keep_packages_out_whatever_was_packed_before(channel: str, tmp_path: Path) -> None:
    deny = {"deny": ["gpl-*"]}
    refused = build(channel, tmp_path, deny)
    assert refused.rc and "licenses keeps out of the bundle: readline 8." in refused.output, refused.output
    assert "(GPL-3.0-only: denied); replace them" in refused.output
    assert not (tmp_path / "dist").exists()

    made = build(channel, tmp_path, {**deny, "exempt": ["readline"]})
    assert made.rc == 0 and made.changed == 1, made.output
    report = (tmp_path / "dist/small-linux-64/licenses.txt").read_text()
    assert "\nGPL-3.0-only\n    readline 8." in report and "\nZlib\n    libzlib 1." in report

    for options in ((), ("--check",)):
        refused = build(channel, tmp_path, deny, *options)
        assert refused.rc and "(GPL-3.0-only: denied)" in refused.output
        again = build(channel, tmp_path, {"allow": ["GPL-3.0-only", "zlib", "x11"]}, *options)
        assert again.rc == 0 and again.changed == 0, again.output
