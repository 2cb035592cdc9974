# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's scenarios, as `make molecule` runs them: whatever ends this process ends the fleet too.

    python -m world.scenarios [SCENARIO]

Without one, all.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .ansible import BIN
from .process import TIED_TO_US

CHECKOUT = Path(__file__).parents[2]
#: All that Molecule and its Ansible keep; a state left from before would make it skip the creation of the fleet.
HOME = CHECKOUT / "build/molecule"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FAILED = re.compile(r"^\W*([a-z-]+)\s*:.*\bfailed=[1-9]", re.MULTILINE)


def run(scenario: str) -> tuple[int, str]:
    """How Molecule ended, and what it printed."""
    chosen = ["--scenario-name", scenario] if scenario else ["--all"]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_HOME": str(HOME)}
    environment |= {"FLEET_OWNER": str(os.getpid()), "PYTHONUNBUFFERED": "1", "MOLECULE_COMMAND_BORDERS": "0"}
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        environment |= {"FORCE_COLOR": "1", "ANSIBLE_FORCE_COLOR": "1"}
    words = [*TIED_TO_US, str(BIN / "molecule"), "test", *chosen]
    printed = []
    with subprocess.Popen(
        words, cwd=CHECKOUT / "extensions", env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as process:  # fmt: skip
        for line in process.stdout or ():
            print(line, end="", flush=True)
            printed.append(_COLOUR.sub("", line))
    return process.returncode, "".join(printed)


def again(scenario: str, printed: str) -> str:
    """What to type to see the failure once more."""
    failed = _FAILED.findall(printed)
    which = scenario or (failed[0] if failed else "")
    return "again: make molecule" + (f" SCENARIO={which}" if which else "")


def main() -> int:
    scenario = "".join(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    try:
        status, printed = run(scenario)
    except KeyboardInterrupt:
        status, printed = 130, ""
    if status:
        print(again(scenario, printed), file=sys.stderr)
    else:
        shutil.rmtree(HOME)
    return status


if __name__ == "__main__":
    sys.exit(main())
