# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person on a builder, who runs module `env` in a directory of their own."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

SPEC = """\
name: demo
channels: [{channel}]
dependencies:
  - python=3.11
  - pandas=1.5.2
  - pip
  - pip:
      - attrs==23.1.0
variables:
  DEMO: "yes"
"""


@dataclasses.dataclass
class Builder:
    """A person on a builder, in an empty directory."""

    home: Path
    channel: str
    #: Variables of Ansible's own environment, beside this machine's.
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def workdir(self) -> Path:
        return self.home / "cache" / "airgap-conda" / "build"

    @property
    def directory(self) -> Path:
        return self.workdir / "demo-linux-64"

    def write(self, text: str = SPEC) -> None:
        (self.home / "environment.yml").write_text(text.format(channel=self.channel))

    def start(self, *options: str, **arguments: t.Any) -> subprocess.Popen[str]:
        given = {"spec": "environment.yml", **arguments}
        environ = {
            **os.environ,
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "ANSIBLE_LOCAL_TEMP": str(self.home / "local"),
            "ANSIBLE_REMOTE_TEMP": str(self.home / "remote"),
            "PIP_TARGET": str(self.home / "elsewhere"),
            "PYTHONHOME": "",
            **self.environment,
        }
        ansible = Path(sys.executable).with_name("ansible")
        return subprocess.Popen(
            [ansible, "localhost", "-o", "-m", "airgap.conda.env", "-a", json.dumps(given), *options],
            cwd=self.home,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str, **arguments: t.Any) -> dict[str, t.Any]:
        """Return the module's result."""
        with self.start(*options, **arguments) as process:
            output, errors = process.communicate(timeout=120)
        line = next((line for line in output.splitlines() if "=> {" in line), None)
        assert line, f"{output}\n{errors}"
        result: dict[str, t.Any] = json.loads(line.partition("=> ")[2])
        return result

    def prefixes(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.is_dir())
