# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests build with: the embedded solver, and a conda where one is named."""

from __future__ import annotations

import json
import os
import threading
import typing as t
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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


@contextmanager
def watched_for(secret: str) -> Iterator[list[str]]:
    """Look at the words of all processes of the machine until the end, and yield those that hold *secret*."""
    found: list[str] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.03):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.extend([words] if secret in words else [])

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield found
    finally:
        ended.set()
        looking.join()
