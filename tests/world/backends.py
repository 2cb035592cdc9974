# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests build with: the embedded solver, and a conda where one is named."""

from __future__ import annotations

import json
import os
import typing as t
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from world import ansible


def conda() -> str:
    """The executable in $AIRGAP_TEST_CONDA, which names it or its installation; empty where none is named."""
    named = os.environ.get("AIRGAP_TEST_CONDA", "")
    return os.path.join(named, "bin/conda") if os.path.isdir(named) else named


#: What takes part here.
TESTED = ("rattler", "conda") if conda() else ("rattler",)


def options(backend: str) -> dict[str, str]:
    """What module env is told to use one of them."""
    return {"conda_exe": conda()} if backend == "conda" else {"backend": backend}


def module(
    name: str,
    arguments: dict[str, t.Any],
    home: Path,
    check: bool = False,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, t.Any]:
    """Run a module of the collection as a user whose home is *home*, and return its result with all that was shown."""
    command = [str(ansible.BIN / "ansible"), "localhost", "-o", "-vvv", "-m", f"airgap.conda.{name}"]
    command += ["-a", json.dumps(arguments), *(["--check"] if check else [])]
    variables = {"ANSIBLE_DEPRECATION_WARNINGS": "0", **environment}
    done = ansible.run(command, cwd=home, home=home, environment=variables)
    line = next((line for line in done.output.splitlines() if "=> {" in line), None)
    assert line, done.output
    return {**json.loads(line.partition("=> ")[2]), "shown": done.output}
