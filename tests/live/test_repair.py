# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair sends what hosts have nowhere, touches no other generation, and is whole or nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import bundles, receipt_check
from world.ansible import Play
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec
from world.meter import Meter

ENVS = "/opt/conda/envs"
REPAIR = ("-e", "env_drift_action=repair")
FULL = ("-e", "env_drift_action=fail env_drift_mode=full")

#: Of what is nowhere else on the host: one small file is modified, one is gone.
OF_TOOLS = "echo '# x' >> lib/python3.11/json/tool.py; rm lib/python3.11/this.py"
#: One that the generation before has too is replaced, and one that it has not is closed.
OF_SMALL = "cp lib/libtinfo.so.6.2 new && echo x >> new && mv new lib/libtinfo.so.6.2; chmod 600 lib/libffi.so.7.1.0"
#: What can only come out of the bundle.
NEEDED = f"rm {ENVS}/small/lib/libffi.so.7.1.0"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    hosts = [HostSpec(name, release, storage="tmpfs") for name, release in (("old", "bullseye"), ("new", "trixie"))]
    with Fleet(tmp_path_factory.mktemp("fleet"), hosts) as started:
        yield started


@pytest.fixture(scope="module")
def deployed(fleet: Fleet, tools: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two environments on each host, one of them with the generation before, and a copy of all that."""
    controller = Controller(fleet, tmp_path_factory.mktemp("home"))
    for listed in ((tools, bundles.ensure(bundles.SMALL_EARLIER)), (small,)):
        done = controller.run("rollout", *asked(*listed))
        assert done.rc == 0, done.output
    for host in fleet.hosts:
        host.run("cp -a /opt/conda /srv/pristine")


@pytest.fixture(autouse=True)
def _restored(fleet: Fleet, deployed: None) -> None:
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda && cp -a /srv/pristine /opt/conda")


def asked(*listed: Path, **more: t.Any) -> tuple[str, str]:
    environments = [{"bundle": str(bundle)} for bundle in listed]
    return ("-e", json.dumps({"env_deploy_environments": environments, "env_deploy_bytecode": False, **more}))


def trees(host: Host) -> str:
    """Everything but the store's records, as it lies on the disk."""
    return host.run(
        f"find {ENVS} -path '*/.airgap/*' -not -path '*/generations/*' -o -printf '%p %y %i %s %T@ %m\\n' | sort"
    ).stdout


def other(host: Host) -> str:
    """The generation of the small environment that is not live."""
    generations = f"{ENVS}/.airgap/small/generations"
    return host.run(f"find {generations} -mindepth 1 -printf '%p %y %i %s %T@ %m %U\\n' | sort").stdout


def whole(host: Host) -> list[list[str]]:
    """Which generations each tree of the small environment is, every file read."""
    host.push(Path(receipt_check.__file__), "/tmp/receipt_check.py")
    told = json.loads(host.run(f"python3 /tmp/receipt_check.py {ENVS} small").stdout)
    assert told["left"] == []
    return list(told["trees"].values())


def drift(controller: Controller, *arguments: str) -> Play:
    return controller.run("drift", *arguments)


def test_a_repair_receives_what_drifted_and_not_the_archive(
    fleet: Fleet, controller: Controller, tools: Path, small: Path
) -> None:
    archive = (tools / "archive.tar.zst").stat().st_size
    for host in fleet.hosts:
        host.run(f"cd {ENVS}/tools && {OF_TOOLS}")
        host.run(f"cd {ENVS}/small && {OF_SMALL}")
    before = {host.name: (trees(host), other(host)) for host in fleet.hosts}
    checked = drift(controller, *asked(tools, small), *REPAIR, "--check", "-l", "old", "-v")
    assert checked.rc == 0 and checked.changed == 1, checked.output
    for sentence in (
        "put back lib/python3.11/json/tool.py (modified) at",
        "put back lib/python3.11/this.py (missing) at",
    ):
        assert f"{sentence} {ENVS}/tools" in checked.output
    assert trees(fleet.host("old")) == before["old"][0]

    with Meter(*fleet.hosts) as meter:
        repaired = drift(controller, *asked(tools, small), *REPAIR)
    assert repaired.rc == 0 and repaired.changed == 2, repaired.output
    made = sorted(controller.directory.glob(".cache/airgap-conda/*.delta.zstd"))
    sizes = [path.stat().st_size for path in made]
    print(f"archive {archive:,}; deltas {sizes}; received {meter.received}")
    # One of each bundle, for both hosts; of the small one nothing had to come.
    assert len(made) == 2 and sum(sizes) < 30_000
    assert all(received < archive / 5 for received in meter.received)
    clean = drift(controller, *asked(tools, small), *FULL)
    assert clean.rc == 0 and "2 hosts clean" in clean.output, clean.output
    for host in fleet.hosts:
        assert broken_promises(host, f"{ENVS}/tools") == {}
        host.run(f"{ENVS}/tools/bin/python -c 'import json.tool, this'")
        assert other(host) == before[host.name][1]
        generations = whole(host)
        assert len(generations) == 2 and all(generations)


def test_without_a_bundle_that_is_whole_nothing_is_repaired_and_that_is_said(
    fleet: Fleet, controller: Controller, small: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / small.name
    shutil.copytree(small, damaged)
    with (damaged / "archive.tar.zst").open("r+b") as file:
        file.seek(100)
        file.write(b"damaged")
    for host in fleet.hosts:
        host.run(NEEDED)
    before = [trees(host) for host in fleet.hosts]
    mine = {"old": str(tmp_path / "gone"), "new": str(damaged)}
    each = [{"name": "small", "bundle": "{{ mine[inventory_hostname] }}"}]
    variables = {"env_deploy_environments": each, "env_deploy_bytecode": False, "mine": mine}
    done = drift(controller, "-e", json.dumps(variables), *REPAIR)
    assert done.rc == 4, done.output
    for sentence in (f"{mine['old']} is not a bundle", "archive.tar.zst is damaged", "libffi: 1 of 3 files missing"):
        assert sentence in done.output
    unnamed = {"env_deploy_environments": [{"name": "small"}], "env_deploy_bytecode": False}
    done = drift(controller, "-e", json.dumps(unnamed), *REPAIR, "-l", "old")
    assert done.rc == 2 and "environment small has no bundle" in done.output, done.output
    assert [trees(host) for host in fleet.hosts] == before


def test_from_a_directory_of_the_host_nothing_is_sent(fleet: Fleet, controller: Controller, small: Path) -> None:
    for host in fleet.hosts:
        host.run(NEEDED)
        host.run(f"echo mine > {ENVS}/small/mine")
        host.push(small, f"/srv/bundles/{small.name}")
    source = {"env_deploy_source": "path", "env_deploy_source_path": "/srv/bundles"}
    remove = ("-e", "env_drift_on_unexpected=remove")
    done = drift(controller, *asked(small, **source), *REPAIR, *remove)
    assert done.rc == 0 and done.changed == 2 and "2 hosts clean" in done.output, done.output
    assert list(controller.directory.glob(".cache/airgap-conda/*.delta.*")) == []
    for host in fleet.hosts:
        assert all(whole(host))
        assert host.run(f"find {ENVS} -name mine").stdout == ""
