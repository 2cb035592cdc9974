# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A send that is cut goes on where it stopped: over ssh with the cable pulled, and over a local connection killed."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import file, make_bundle, tool_members
from world.ansible import BIN, play
from world.controller import Controller
from world.fleet import Fleet, Host, HostSpec

PART = 10 << 20
#: Bytes that do not compress, so that parts are as small beside it as they are beside what takes long to send.
BLOB = 250 << 20
CUTS = 5
#: Without it, ssh waits for minutes for somebody to answer.
NOTICE = "-o ServerAliveInterval=1 -o ServerAliveCountMax=2 -o ConnectTimeout=5"
#: Nor need it try by other programs what this one could not do.
SSH = {"ansible_ssh_extra_args": NOTICE, "ansible_ssh_transfer_method": "sftp"}
RESUMING = ("-e", json.dumps({**SSH, "env_deploy_part_size": PART >> 20}))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    hosts = [HostSpec(name, "bookworm", storage="tmpfs") for name in ("far", "near")]
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts) as started:
        yield started


@pytest.fixture(autouse=True)
def _clean(fleet: Fleet) -> Iterator[None]:
    yield
    for host in fleet.hosts:
        host.mend()
        host.run("rm -rf /opt/conda")


def arrived(host: Host) -> int:
    """Bytes of bundles that are kept on the host, verified."""
    return int(host.run("cat /opt/conda/envs/.airgap/*/incoming/* 2>/dev/null | wc -c").stdout)


def received(host: Host) -> int:
    return host.interface_bytes()[0]


def cut_after(host: Host, size: int) -> threading.Thread:
    """Pull the cable once the host has received so many more bytes."""
    until = received(host) + size

    def watch() -> None:
        while received(host) < until:
            time.sleep(0.002)
        host.cut()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A bundle made by hand, without Python, as only its size matters."""
    content = random.Random(1).randbytes(BLOB)
    return make_bundle(tmp_path / "large", [*tool_members("1"), file("share/blob", content)]).path


def test_a_send_that_is_cut_five_times_costs_little_more_than_one(
    fleet: Fleet, controller: Controller, large: Path
) -> None:
    host = fleet.host("far")
    size = (large / "archive.tar.zst").stat().st_size
    assert size >= BLOB
    chance = random.Random(7)
    before, held = received(host), 0
    for number in range(CUTS):
        thread = cut_after(host, chance.randint(size // 16, size // 8))
        failed = controller.rollout(large, "-l", "far", *RESUMING)
        thread.join()
        host.mend()
        assert failed.recap["far"]["unreachable"] == 1, failed.output
        now = arrived(host)
        assert now > held and now % PART == 0, (number, held, now)
        held = now
    done = controller.rollout(large, "-l", "far", *RESUMING)
    assert done.rc == 0 and done.changed == 1, done.output
    total = received(host) - before
    print(f"cut {CUTS} times: {total / size:.2f} x the archive")
    assert total <= 1.3 * size
    assert host.run("sha256sum </opt/conda/envs/ml/share/blob").stdout.split()[0] == digest_of_blob(large)


def digest_of_blob(bundle: Path) -> str:
    """What the file list says it is."""
    lines = gzip.decompress((bundle / "files.jsonl.gz").read_bytes()).splitlines()
    return next(str(entry["sha256"]) for entry in map(json.loads, lines) if entry["path"] == "share/blob")


def test_a_host_that_was_down_catches_up_and_the_others_are_sent_nothing(
    fleet: Fleet, controller: Controller, tools: Path
) -> None:
    far, near = fleet.host("far"), fleet.host("near")
    far.cut()
    first = controller.rollout(tools, *RESUMING)
    assert first.recap["far"]["unreachable"] == 1 and first.recap["near"]["changed"] == 1, first.output
    far.mend()
    before = received(near)
    second = controller.rollout(tools)
    assert second.rc == 0 and second.recap["far"]["changed"] == 1 and second.recap["near"]["changed"] == 0
    assert received(near) - before < 1_000_000


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and theirs, parents first."""
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(below for child in found for below in descendants(child))]


def test_a_local_connection_goes_on_too(tools: Path, tmp_path: Path) -> None:
    variables = {
        "env_deploy_bundle": str(tools),
        # Conda's own, so that this machine's conda is told nothing.
        "env_deploy_envs_dir": str(tmp_path / "conda/envs"),
        "env_deploy_register_conda_root": str(tmp_path / "conda"),
        "env_deploy_bytecode": False,
        "env_deploy_part_size": 4,
        "ansible_python_interpreter": sys.executable,
    }
    words = ["airgap.conda.rollout", "-i", "localhost,", "-c", "local", "-e", json.dumps(variables)]
    store = tmp_path / "conda/envs/.airgap/tools/incoming"
    killed = subprocess.Popen([str(BIN / "ansible-playbook"), *words], cwd=tmp_path, stdout=subprocess.DEVNULL)
    while killed.poll() is None and not any(path.stat().st_size >= 4 << 20 for path in store.glob("*")):
        time.sleep(0.01)
    # Its workers have sessions of their own, and would go on without it.
    for pid in reversed([killed.pid, *descendants(killed.pid)]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    killed.wait()
    (stream,) = store.iterdir()
    held = stream.stat().st_size
    assert held >= 4 << 20
    os.link(stream, tmp_path / "same")
    done = play(words[0], *words[1:], cwd=tmp_path)
    assert done.rc == 0 and done.changed == 1, done.output
    pieces = (tools / name for name in ("manifest.json", "files.jsonl.gz", "archive.tar.zst"))
    # Nothing was begun anew: the rest was put to what was there.
    assert (tmp_path / "same").read_bytes() == b"".join(piece.read_bytes() for piece in pieces)
    assert list(store.iterdir()) == []
