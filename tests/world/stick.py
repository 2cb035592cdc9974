# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stick that crosses the gap, made as the guide of two controllers says.

    python -m world.stick BUNDLE --fleet DIR --host controller

makes one with the bundle and plugs it into a host of a running fleet, read-only.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from . import ansible, cache
from .fleet import Fleet, Host
from .pages import CHECKOUT, commands
from .process import WorldError

PLACE = "/media/stick"


def documented(block: str) -> list[str]:
    """The commands of a marked block of the guide."""
    return commands("guide_two_controllers", block)


def make(bundle: Path, builder: Path) -> Path:
    """The stick, made in an empty directory by what the page says to type on the builder."""
    (builder / "stick").mkdir()
    (builder / "dist").mkdir()
    (builder / "dist/my_env-linux-64").symlink_to(bundle)
    _type("stick: bundle", builder / "stick", builder)
    _type("stick: collection", builder / "stick", CHECKOUT)
    wanted = documented("stick: wheels")
    wheels = cache.entry("ansible", wanted, lambda into: _type("stick: wheels", into, builder))
    shutil.copytree(wheels / "wheels", builder / "stick/wheels")
    return builder / "stick"


def plug(stick: Path, machine: Host) -> None:
    """Mount a copy of the stick, read-only, in place of one that is there."""
    machine.run(f"! mountpoint -q {PLACE} || umount {PLACE}; mkdir -p {PLACE}")
    machine.run(f"mount -t tmpfs -o size=1g,nosuid,nodev stick {PLACE}")
    machine.push(stick, PLACE)
    machine.run(f"mount -o remount,ro {PLACE}")


def _type(block: str, stick: Path, cwd: Path) -> None:
    """Run a block on this machine, with this directory for the stick."""
    for command in documented(block):
        line = f'PATH="{ansible.BIN}:$PATH"; {command.replace(PLACE, str(stick))}'
        done = ansible.run(["/bin/sh", "-ec", line], cwd=cwd)
        if done.rc:
            raise WorldError(f"`{command}` failed: {done.output}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m world.stick", description="The stick that crosses the gap.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--fleet", type=Path, required=True)
    parser.add_argument("--host", required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="airgap-stick-") as builder:
        plug(make(given.bundle.resolve(), Path(builder)), Fleet(given.fleet).host(given.host))


if __name__ == "__main__":
    try:
        main()
    except WorldError as error:
        sys.exit(f"world: {error}")
