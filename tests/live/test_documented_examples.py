# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of each module run as ansible-doc shows them, and return what is documented and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import conda_pack
import pytest
from world import ansible, bundles
from world.examples import assert_as_documented, run
from world.fleet import Fleet, Host, HostSpec
from world.mirror import mirror

#: What the examples call environment.yml; it has no Python, to be quick, and licences that they allow.
SPEC = "name: my_env\nchannels: ['{channel}']\ndependencies: [libffi, libzlib]\n"


@pytest.fixture
def builder(tmp_path: Path, channel: str) -> Path:
    """A directory with what the examples of the builder's modules name."""
    (tmp_path / "environment.yml").write_text(SPEC.format(channel=channel))
    return tmp_path


def test_examples_of_env(builder: Path, channel: str) -> None:
    with mirror(builder, {"conda-forge": Path(unquote(urlsplit(channel).path))}) as site:
        results = run("env", builder, **site.environment)
    assert site.connected
    assert [result["changed"] for result in results] == [True, True, True, True]
    assert_as_documented("env", results)


def test_examples_of_bundle(builder: Path, channel: str) -> None:
    given = json.dumps({"spec": "environment.yml", "name": "theirs"})
    words = [str(ansible.BIN / "ansible"), "localhost", "-o", "-m", "airgap.conda.env", "-a", given]
    made = ansible.run(words, cwd=builder, home=builder)
    prefix = json.loads(made.output.partition("=> ")[2].splitlines()[0])["prefix"]
    # Of packages that carry no prefix, so that a copy is as good as what an installer makes.
    shutil.copytree(prefix, builder / "miniforge3/envs/science", symlinks=True)
    shutil.copytree(prefix, builder / "miniforge3/envs/compiled", symlinks=True)
    (builder / "miniforge3/envs/compiled/lib/notes.txt").write_text(f"made in {builder}\n")
    conda_pack.pack(prefix=prefix, output=str(builder / "science.tar.gz"))
    results = run("bundle", builder)
    assert {Path(result["bundle"]).parent.name for result in results} == {"dist", "bundles"}
    assert_as_documented("bundle", results)


def test_examples_of_bundle_delta(example: Path, earlier: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    # What the examples call the older one.
    (tmp_path / "dist/my_env-linux-64-0123456789ab").symlink_to(earlier)
    (tmp_path / "dist/my_env-linux-64").symlink_to(example)
    results = run("bundle_delta", tmp_path)
    assert [result["changed"] for result in results] == [True, True]
    assert (tmp_path / "dist" / example.name / "archive.tar.zst").read_bytes() == (
        example / "archive.tar.zst"
    ).read_bytes()
    assert (tmp_path / "dist" / example.name / "manifest.json").read_bytes() == (example / "manifest.json").read_bytes()
    size, whole = results[0]["size"], (example / "archive.tar.zst").stat().st_size
    print(f"the delta's archive has {size:,} bytes, {size / whole:.1%} of the whole")
    assert_as_documented("bundle_delta", results)


def test_examples_of_bundle_export_and_bundle_import(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/a.whl").touch()
    (tmp_path / "dist/my_env-linux-64").symlink_to(tools)
    written = run("bundle_export", tmp_path)
    assert [result["changed"] for result in written] == [True]
    assert_as_documented("bundle_export", written)
    taken = run("bundle_import", tmp_path)
    assert [result["changed"] for result in taken] == [True] and taken[0]["bundles"] == [
        f"{tmp_path}/dist/{tools.name}"
    ]
    assert_as_documented("bundle_import", taken)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    with Fleet(tmp_path_factory.mktemp("fleet"), [HostSpec("host", "trixie", storage="tmpfs")]) as started:
        yield started


@pytest.fixture
def upgraded(fleet: Fleet, earlier: Path, example: Path, tmp_path: Path) -> Iterator[Host]:
    """The host with an environment of two generations, and something that runs from the first."""
    host = fleet.host("host")
    pids = []
    for bundle in (earlier, example):
        variables = f"env_deploy_bundle={bundle} env_deploy_bytecode=false"
        done = ansible.play(
            "airgap.conda.rollout", "-i", str(fleet.inventory), "-e", variables, cwd=tmp_path, home=tmp_path
        )
        assert done.rc == 0, done.output
        python = "/opt/conda/envs/my_env/bin/python"
        started = host.run(f"cd /; setsid {python} -c 'import time; time.sleep(300)' >/dev/null 2>&1 & echo $!")
        pids.append(started.stdout.strip())
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/my_env-linux-64").symlink_to(earlier)
    yield host
    host.run(f"kill {' '.join(pids)}; rm -rf /opt/conda /etc/conda")


def test_examples_of_env_rollback(fleet: Fleet, upgraded: Host, tmp_path: Path) -> None:
    results = run("env_rollback", tmp_path, "-i", str(fleet.inventory))
    assert [result["changed"] for result in results] == [True, True, True]
    assert upgraded.run("cat /opt/conda/envs/my_env/conda-meta/airgap-generation").stdout.startswith("0001-")
    assert_as_documented("env_rollback", results)


def test_examples_of_env_info(fleet: Fleet, upgraded: Host, tmp_path: Path) -> None:
    results = run("env_info", tmp_path, "-i", str(fleet.inventory))
    assert [result["changed"] for result in results] == [False, False]
    ((told,), none) = (result["environments"] for result in results)
    assert [each["live"] for each in told["generations"]] == [False, True] and none == []
    assert [process["generation"][:4] for process in told["processes"]] == ["0001"]
    assert_as_documented("env_info", results)


def test_examples_of_env_deploy(fleet: Fleet, example: Path, tools: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/my_env-linux-64").symlink_to(example)
    (tmp_path / "dist/tools-linux-64").symlink_to(tools)
    bundles.for_platform("linux-aarch64", tools, tmp_path / "dist/my_env-linux-aarch64")
    results = run("env_deploy", tmp_path, "-i", str(fleet.inventory))
    assert [result["changed"] for result in results] == [True, True, True]
    fleet.host("host").run("/usr/local/bin/python3.11 -c 'import six'; test ! -e /opt/conda/envs/my_env")
    assert_as_documented("env_deploy", results)
