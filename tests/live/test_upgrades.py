# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations on real hosts: what an upgrade writes, what is kept, and what becomes of what users put there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec

PREFIX = "/opt/conda/envs/light"
STORE = "/opt/conda/envs/.airgap/light"
PYTHON = f"{PREFIX}/bin/python"
SITE = "lib/python3.11/site-packages"
WITH_BYTECODE = ("-e", "env_deploy_bytecode=true")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), [HostSpec("host", "bookworm", storage="tmpfs")]) as started:
        yield started


@pytest.fixture(autouse=True)
def _clean(fleet: Fleet) -> Iterator[None]:
    """Each test begins on hosts without environments."""
    yield
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda /srv/envs /etc/conda")


def variables(**named: object) -> tuple[str, str]:
    return "-e", json.dumps({f"env_deploy_{name}": value for name, value in named.items()})


def generations(host: Host) -> list[str]:
    return host.run(f"ls {STORE}/generations").stdout.split()


def used(host: Host) -> int:
    """Bytes of the disk that environments take, each inode once."""
    return int(host.run("du -s -B1 /opt/conda").stdout.split()[0])


def inode(host: Host, path: str) -> str:
    return host.run(f"stat -c %i {path}").stdout.strip()


def own(host: Host, tree: str) -> int:
    """Bytes of the files that only *tree* has."""
    sizes = host.run(f"find {tree} -type f -links 1 -printf '%b\\n'").stdout.split()
    return sum(map(int, sizes)) * 512


def test_an_upgrade_writes_what_changed_and_shares_the_rest(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path
) -> None:
    assert controller.rollout(light_earlier, *WITH_BYTECODE).changed == 1
    python = f"{PREFIX}/bin/python3.11"
    compiled = f"{PREFIX}/lib/python3.11/__pycache__/argparse.cpython-311.pyc"
    before = {host.name: (used(host), inode(host, python), inode(host, compiled)) for host in fleet.hosts}
    upgraded = controller.rollout(light, *WITH_BYTECODE)
    assert upgraded.rc == 0 and upgraded.changed == 1, upgraded.output
    for host in fleet.hosts:
        was_used, *inodes = before[host.name]
        # Those that carry the prefix, and what was compiled here, as well.
        assert [inode(host, python), inode(host, compiled)] == inodes
        grown = used(host) - was_used
        assert grown < 1.2 * own(host, PREFIX) + 4_000_000 < was_used / 2
        assert broken_promises(host, PREFIX) == {}
        assert host.run(f"{PYTHON} -c 'import attr; print(attr.__version__)'").stdout.strip() == "23.1.0"
    # Reading all finds the same as reading nothing.
    again = controller.rollout(light, *WITH_BYTECODE, *variables(verify="full"))
    assert again.rc == 0 and again.changed == 0, again.output

    # Back by rolling the older bundle out: it is here, so nothing is sent or unpacked.
    back = controller.rollout(light_earlier, *WITH_BYTECODE, "-v")
    assert back.rc == 0 and back.changed == 1 and "staging" not in back.output, back.output
    for host in fleet.hosts:
        assert generations(host)[0].startswith("0002-")
        assert broken_promises(host, PREFIX) == {}
        host.run(f"{PYTHON} -c 'import attr; assert attr.__version__ == \"22.2.0\"'")


def test_a_failed_generation_stays_to_be_inspected_and_is_tried_again(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path
) -> None:
    controller.rollout(light_earlier)
    bad = controller.rollout(light, *variables(health={"commands": ["echo no luck; exit 3"]}))
    assert bad.rc != 0 and "kept for inspection at" in bad.output, bad.output
    for host in fleet.hosts:
        (failed,) = generations(host)
        assert failed.startswith("0002-")
        assert "no luck" in host.run(f"cat {STORE}/failed/{failed}").stdout
        host.run(f"{PYTHON} -c 'import attr; assert attr.__version__ == \"22.2.0\"'")
    good = controller.rollout(light, *variables(health={"imports": ["attr"]}), "-v")
    assert good.rc == 0 and good.changed == 1 and "staging" not in good.output, good.output
    for host in fleet.hosts:
        assert generations(host)[0].startswith("0001-")
        assert host.run(f"ls {STORE}/failed").stdout == ""
        assert broken_promises(host, PREFIX) == {}


def test_what_users_put_there_refuses_an_upgrade_or_is_kept_aside_and_can_be_put_back(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path
) -> None:
    controller.rollout(light_earlier)
    host = fleet.host("host")
    # As pip would, without an index.
    host.run(
        f"mkdir {PREFIX}/{SITE}/mine-1.0.dist-info && echo 'x = 1' > {PREFIX}/{SITE}/mine.py"
        f" && printf 'mine.py,,\\nmine-1.0.dist-info/RECORD,,\\n' > {PREFIX}/{SITE}/mine-1.0.dist-info/RECORD"
        f" && mkdir -m 700 {PREFIX}/data && echo run > {PREFIX}/data/run && chown -R plain: {PREFIX}/data"
    )
    refused = controller.rollout(light)
    assert refused.rc != 0 and "mine 1.0 of pip (2 files), data/run;" in refused.output, refused.output
    assert host.run(f"{PYTHON} -c 'import mine, attr; print(attr.__version__)'").stdout.strip() == "22.2.0"
    kept = controller.rollout(light, *variables(on_unexpected="keep"))
    assert kept.rc == 0, kept.output
    (generation,) = host.run(f"ls {STORE}/quarantine").stdout.split()
    assert host.run(f"{PYTHON} -c 'import mine'", check=False).returncode != 0
    assert broken_promises(host, PREFIX) == {}
    # As the guide says.
    host.run(f"cp -a {STORE}/quarantine/{generation}/. {PREFIX}/")
    host.run(f"{PYTHON} -c 'import mine'")
    assert host.run(f"stat -c '%U %a' {PREFIX}/data {PREFIX}/data/run").stdout.split() == [
        "plain",
        "700",
        "plain",
        "644",
    ]
    removed = controller.run("remove", "-e", "env_deploy_name=light", *variables(on_unexpected="keep"))
    assert removed.rc == 0 and removed.changed == 1, removed.output
    assert host.run("ls -A /opt/conda/envs").stdout.split() == [".airgap"]
    assert len(host.run(f"find {STORE} -name run").stdout.split()) == 2
    again = controller.run("remove", "-e", "env_deploy_name=light")
    assert again.rc == 0 and again.changed == 0, again.output


def test_an_environment_that_is_there_already_becomes_generation_zero(
    fleet: Fleet, controller: Controller, tools: Path
) -> None:
    prefix = "/opt/conda/envs/tools"
    for host in fleet.hosts:
        host.run(f"mkdir -p {prefix}/bin && echo theirs > {prefix}/bin/tool")
        host.run(f"chown -R plain:plain {prefix} && chmod 750 {prefix}")
    refused = controller.rollout(tools)
    assert refused.rc != 0 and "env_deploy_adopt" in refused.output, refused.output
    adopted = controller.rollout(tools, *variables(adopt=True))
    assert adopted.rc == 0 and adopted.changed == 1, adopted.output
    for host in fleet.hosts:
        assert host.run(f"stat -c '%U %a' {prefix} {prefix}/bin/python3.11").stdout.split() == [
            "plain",
            "750",
            "plain",
            "755",
        ]
        assert broken_promises(host, prefix) == {}
    assert controller.rollout(tools).changed == 0
    back = controller.run("rollback", "-e", "env_rollback_name=tools")
    assert back.rc == 0 and back.changed == 1, back.output
    for host in fleet.hosts:
        assert host.run(f"cat {prefix}/bin/tool").stdout == "theirs\n"


def test_a_generation_goes_when_no_process_uses_it(
    fleet: Fleet, controller: Controller, light_earlier: Path, light: Path
) -> None:
    controller.rollout(light_earlier)
    host = fleet.host("host")
    pid = host.run(f"{PYTHON} -c 'import time; time.sleep(600)' >/dev/null 2>&1 & echo $!").stdout.strip()
    one = variables(keep=1)
    assert controller.rollout(light, *one).rc == 0
    assert [len(generations(each)) for each in fleet.hosts] == [1]
    assert controller.rollout(light, *one).changed == 0
    host.run(f"kill {pid}")
    last = controller.rollout(light, *one)
    assert last.rc == 0 and last.changed == 1, last.output
    assert generations(host) == []
    assert broken_promises(host, PREFIX) == {}


def test_another_owner_gets_files_of_their_own(fleet: Fleet, controller: Controller, tools: Path) -> None:
    prefix = "/opt/conda/envs/tools"
    controller.rollout(tools)
    assert controller.rollout(tools, *variables(owner="plain")).changed == 1
    for host in fleet.hosts:
        assert host.run(f"find {prefix} ! -user plain").stdout == ""
        assert broken_promises(host, prefix) == {}
    assert controller.rollout(tools).changed == 0
