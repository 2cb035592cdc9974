# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ansible-cores that are checked, each in a virtual environment of its own in the checkout."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from world.process import run, say

from . import interpreters

CHECKOUT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Core:
    """One ansible-core."""

    version: str
    #: What it runs under here.
    python: str
    #: What hosts may have, the oldest first: all with one core, with others the ends.
    hosts: tuple[str, ...]
    #: The pip that its ansible-test would download a bootstrap script of.
    pip: str

    @property
    def venv(self) -> Path:
        return CHECKOUT / f".venv-core-{self.version}"

    def ensure(self) -> None:
        """Make the virtual environment, with what a builder needs, unless it is there."""
        requirements = CHECKOUT / "requirements.txt"
        wanted = [f"ansible-core~={self.version}.0", "--requirement", str(requirements)]
        made_of = " ".join(wanted) + "\n" + requirements.read_text()
        ready = self.venv / ".ready"
        if ready.exists() and ready.read_text() == made_of:
            return
        say(f"installing ansible-core {self.version}")
        shutil.rmtree(self.venv, ignore_errors=True)
        run([interpreters.find(self.python), "-m", "venv", self.venv], timeout=300)
        run([self.venv / "bin/pip", "install", "--quiet", *wanted], timeout=900)
        ready.write_text(made_of)


CORES = (
    Core("2.18", "3.11", ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13"), "24.2"),
    Core("2.19", "3.11", ("3.8", "3.13"), "24.2"),
    Core("2.21", "3.12", ("3.9", "3.13"), "25.2"),
)
