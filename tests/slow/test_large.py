# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large environments, packed and deployed by programs that may have little memory: of bytes, and of files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import ansible
from world.carrying import Workshop
from world.controller import broken_promises
from world.fleet import Fleet, Host, HostSpec

#: Bytes of the largest file.
LARGE = 3 << 30
#: Bytes of one that does not get smaller.
RANDOM = 192 << 20
FILES = 100_000

#: Bytes of memory that a program may map, its code and the stacks of its threads included.
MEMORY = 1536 << 20
#: Bytes of memory that may be in use at most; file by file is what a list of so many takes.
IN_USE = 256 << 20
PER_FILE = 3 << 10

CONDA_PACK = Path(sys.executable).with_name("conda-pack")

PACK = """\
import resource, sys
from pathlib import Path
from world.carrying import Workshop
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]),) * 2)
bundled = Workshop(Path(sys.argv[1])).bundle(Path(sys.argv[2]))
print(bundled.directory)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

#: The Python of a host that has little memory to give.
NARROW = f'#!/bin/sh\nulimit -v {MEMORY >> 10}\nexec /usr/bin/python3 "$@"\n'


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Host]]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a host needs Linux and root; run the suite as root")
    with Fleet(tmp_path_factory.mktemp("site"), [HostSpec("host")]) as fleet:
        only = fleet.hosts[0]
        only.run(f"printf '%s' '{NARROW}' > /usr/local/bin/narrow && chmod 755 /usr/local/bin/narrow")
        yield fleet, only


def packed(shop: Workshop, prefix: Path) -> tuple[Path, int]:
    """The bundle, and the bytes of memory that packing it took."""
    command = [sys.executable, "-c", PACK, str(shop.here), str(prefix), str(MEMORY)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    directory, memory = done.stdout.splitlines()
    return Path(directory), int(memory)


def deployed(fleet: Fleet, host: Host, bundle: Path, here: Path) -> str:
    """Roll out from a controller and to a host that both have little memory; the prefix."""
    variables = {"ansible_python_interpreter": "/usr/local/bin/narrow", "env_deploy_bundle": str(bundle)}
    playbook = [str(ansible.BIN / "ansible-playbook"), "airgap.conda.rollout", "-i", str(fleet.inventory)]
    command = ["prlimit", f"--as={MEMORY}", "--", *playbook, "-e", json.dumps(variables)]
    done = ansible.run(command, cwd=here, home=here)
    assert done.rc == 0 and done.changed == 1, done.output
    again = ansible.run(command, cwd=here, home=here)
    assert again.rc == 0 and again.changed == 0, again.output
    return f"/opt/conda/envs/{bundle.name.partition('-linux-64')[0]}"


def large_text(path: Path, prefix: Path) -> None:
    """Names the prefix in its first and its last line."""
    line = f"home = {prefix}\n".encode()
    block = (b"the quick brown fox\n" * (1 << 16))[: 1 << 20]
    with path.open("wb") as file:
        file.write(line)
        for _block in range(LARGE >> 20):
            file.write(block)
        file.write(line)


@pytest.mark.counts("defects of plain conda-pack shown, and shown not to be ours")
def test_a_file_of_3_gb_takes_no_memory(shop: Workshop, host: tuple[Fleet, Host], tmp_path: Path) -> None:
    prefix = shop.environment("large", "libzlib")
    (prefix / "share").mkdir()
    large_text(prefix / "share/large.txt", prefix)
    with (prefix / "share/random.bin").open("wb") as file:
        for _block in range(RANDOM >> 20):
            file.write(os.urandom(1 << 20))
    # conda-pack reads what pip and people bring whole.
    narrow = subprocess.run(
        ["prlimit", f"--as={MEMORY}", "--", CONDA_PACK, "--prefix", prefix, "--output", tmp_path / "x.tar"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert narrow.returncode != 0 and "MemoryError" in narrow.stderr
    bundle, memory = packed(shop, prefix)
    assert memory < IN_USE
    live = deployed(*host, bundle, tmp_path)
    text = host[1].root / live.lstrip("/") / "share/large.txt"
    line = f"home = {live}\n".encode()
    with text.open("rb") as file:
        first = file.read(len(line))
        file.seek(-len(line), os.SEEK_END)
        assert (first, file.read()) == (line, line)
    assert text.stat().st_size == LARGE + 2 * len(line)
    host[1].run("rm -rf /opt/conda")


def test_100_000_files_take_a_list_of_them(shop: Workshop, host: tuple[Fleet, Host], tmp_path: Path) -> None:
    prefix = shop.environment("many", "libzlib")
    for number in range(FILES):
        file = prefix / f"share/many/{number % 317:03}/{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number} in {prefix}\n" if number % 10 == 0 else f"{number}\n")
    bundle, memory = packed(shop, prefix)
    assert memory < IN_USE + FILES * PER_FILE
    live = deployed(*host, bundle, tmp_path)
    tree = host[1].root / live.lstrip("/")
    assert sum(len(names) for _directory, _below, names in os.walk(tree / "share/many")) == FILES
    assert (tree / "share/many/000/99855").read_text() == "99855\n"
    assert (tree / "share/many/000/3170").read_text() == f"3170 in {live}\n"
    assert broken_promises(host[1], live) == {}
    host[1].run("rm -rf /opt/conda")
