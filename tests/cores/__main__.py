# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test: `python -m cores sanity 2.18 2.21`, `python -m cores units`, `python -m cores integration`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from world import cache
from world.process import WorldError, say

from . import home, interpreters, places
from .core import CORES, Core

#: The oldest Python of hosts and the newest, and the unit tests of what runs there.
HOSTS = ("3.8", "3.13")
HOSTS_TESTS = ("tests/unit/plugins/module_utils/_host/", "tests/unit/plugins/module_utils/_model/")
#: The unit tests of what runs beside Ansible.
BUILDER_TESTS = ("tests/unit/plugins/module_utils/_builder/", "tests/unit/plugins/plugin_utils/")
#: For suites that prove nothing more with another core.
ONE_CORE = "2.19"

#: What ansible-test says, and succeeds, when it checked nothing, or not with all that was asked for.
VACUOUS = ("All targets skipped", "because it could not be found", "due to missing virtual environment support")


def main() -> int:
    parser = argparse.ArgumentParser(prog="cores", description=__doc__)
    parser.add_argument("suite", choices=["sanity", "units", "integration"])
    parser.add_argument("versions", nargs="*", metavar="CORE", help="2.18, 2.19, 2.21; default: what the suite needs")
    parser.add_argument("--only", default="", help="further arguments of ansible-test, such as '--test pylint'")
    given = parser.parse_args()
    versions = given.versions or ([ONE_CORE] if given.suite == "units" else [core.version for core in CORES])
    failed = [core for core in map(_core, versions) if not _check(core, given.suite, given.only.split())]
    only = f" ONLY='{given.only}'" if given.only else ""
    for core in failed:
        print(f"again: make {given.suite} CORE={core.version}{only}", file=sys.stderr)
    return bool(failed)


def _core(version: str) -> Core:
    found = next((core for core in CORES if core.version == version), None)
    if not found:
        raise WorldError(f"{version} is none of the cores {', '.join(core.version for core in CORES)}")
    return found


def _check(core: Core, suite: str, only: list[str]) -> bool:
    core.ensure()
    pythons = {version: interpreters.find(version) for version in (*core.hosts, core.python)}
    place = places.installed(core) if suite == "integration" else places.checkout()
    say(f"{suite} with ansible-core {core.version}")
    environment = {**os.environ, "HOME": str(home.ensure(core.pip)), "PATH": _path(core, pythons)}
    # Ours names the checkout's tests.
    environment.pop("PYTHONPATH", None)
    program = [str(core.venv / "bin/ansible-test"), suite, *only]
    results = [_passed([*program, *options], place, environment) for options in _runs(suite, core, pythons, only)]
    return all(results)


def _passed(command: list[str], place: Path, environment: dict[str, str]) -> bool:
    """Whether it succeeds and found something to check; what it says is shown as it says it."""
    vacuous = False
    with subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            vacuous = vacuous or any(word in line for word in VACUOUS)
    return process.returncode == 0 and not vacuous


def _runs(suite: str, core: Core, pythons: dict[str, Path], only: list[str]) -> list[list[str]]:
    """Which Pythons; ansible-test fails when one that is named is missing, and skips those that are not."""
    if suite == "sanity":
        return [[f"--target-python={version}@{pythons[version]}" for version in core.hosts]]
    if suite == "integration":
        oldest = core.hosts[0]
        return [["--controller=origin:python=default", f"--target=controller:python={oldest}@{pythons[oldest]}"]]
    if only:
        return [[]]
    hosts = [f"--target-python=venv/{version}" for version in HOSTS]
    return [[*hosts, *HOSTS_TESTS], [f"--target-python=venv/{core.python}", *BUILDER_TESTS]]


def _path(core: Core, pythons: dict[str, Path]) -> str:
    """The real interpreters first: a launcher of the same name may refuse to start."""
    directories = [str(core.venv / "bin"), *(str(path.parent) for path in pythons.values())]
    return os.pathsep.join([*directories, os.environ["PATH"]])


if __name__ == "__main__":
    try:
        cache.root().mkdir(parents=True, exist_ok=True)
        sys.exit(main())
    except WorldError as error:
        sys.exit(f"cores: {error}")
