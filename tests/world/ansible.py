# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the collection as a user does: ansible-playbook, beside the Python that runs the tests."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BIN = Path(sys.executable).parent

#: Seconds; a play that takes longer hangs.
TIMEOUT = 900

_RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Play:
    """How a play ended."""

    rc: int
    output: str

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """By host, the numbers of the last lines: ok, changed, unreachable, failed, ..."""
        return {
            host: {key: int(value) for key, value in (pair.split("=") for pair in counts.split())}
            for host, counts in _RECAP.findall(self.output)
        }

    @property
    def changed(self) -> int:
        """Tasks that changed something, over all hosts."""
        return sum(counts["changed"] for counts in self.recap.values())


def play(playbook: str, *arguments: str | Path, cwd: Path, home: Path | None = None, **environment: str) -> Play:
    """Run *playbook* in the directory *cwd*; with *home*, as a user whose caches are there."""
    command = [str(BIN / "ansible-playbook"), playbook, *map(str, arguments)]
    return run(command, cwd=cwd, home=home, environment=environment)


def run(
    command: list[str], *, cwd: Path, home: Path | None = None, environment: Mapping[str, str] | None = None
) -> Play:
    """Run any command of Ansible's like a user without configuration."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "XDG_"))}
    variables.update(environment or {}, ANSIBLE_NOCOLOR="1", ANSIBLE_LOCALHOST_WARNING="0")
    if home is not None:
        variables["XDG_CACHE_HOME"] = str(home / ".cache")
        variables["HOME"] = str(home)
    done = subprocess.run(
        command,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return Play(done.returncode, done.stdout)
