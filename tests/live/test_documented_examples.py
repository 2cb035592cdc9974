# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of each module run as ansible-doc shows them, and return what is documented and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from world import ansible, bundles
from world.fleet import Fleet, HostSpec
from world.mirror import mirror

#: What the examples call environment.yml; it has no Python, to be quick, and licences that they allow.
SPEC = "name: my_env\nchannels: ['{channel}']\ndependencies: [libffi, libzlib]\n"
#: Of every module, and documented by Ansible.
COMMON = {"changed", "failed", "diff", "warnings", "deprecations", "msg"}

Fields = t.Dict[str, t.Any]


def documented(module: str) -> Fields:
    words = [str(ansible.BIN / "ansible-doc"), "--json", f"airgap.conda.{module}"]
    return t.cast(Fields, json.loads(subprocess.check_output(words))[f"airgap.conda.{module}"])


def run(module: str, directory: Path, *arguments: str, **environment: str) -> list[Fields]:
    """Run the examples of a module as one play; return their results."""
    tasks = yaml.safe_load(documented(module)["examples"])
    for number, task in enumerate(tasks):
        task.setdefault("register", f"result{number}")
    ours = [task["register"] for task in tasks if f"airgap.conda.{module}" in task]
    content = f"{{{{ [{', '.join(ours)}] | to_json }}}}"
    keep = {"content": content, "dest": str(directory / "results.json"), "mode": "0600"}
    tasks.append({"name": "Keep the results", "ansible.builtin.copy": keep, "delegate_to": "localhost", "diff": False})
    hosts = "localhost" if not arguments else "all"
    play = [{"name": module, "hosts": hosts, "gather_facts": False, "tasks": tasks}]
    (directory / "examples.yml").write_text(yaml.safe_dump(play, sort_keys=False))
    done = ansible.play("examples.yml", *arguments, cwd=directory, home=directory, **environment)
    assert done.rc == 0 and done.recap[next(iter(done.recap))]["ok"] == len(tasks), done.output
    return t.cast("list[Fields]", json.loads((directory / "results.json").read_text()))


def keys(result: t.Any, above: str = "") -> Iterator[str]:
    """The keys of a result, at any depth, as a path."""
    for name, value in result.items():
        yield f"{above}{name}"
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield from keys(item, f"{above}{name}.")


def described(returned: Fields, above: str = "") -> Iterator[str]:
    for name, fields in returned.items():
        yield f"{above}{name}"
        yield from described(fields.get("contains") or {}, f"{above}{name}.")


def assert_as_documented(module: str, results: list[Fields]) -> None:
    found = {key for result in results for key in keys(result) if key.partition(".")[0] not in COMMON}
    assert found == set(described(documented(module)["return"]))


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
    results = run("bundle", builder)
    assert [Path(result["bundle"]).parent.name for result in results] == ["dist", "bundles", "dist"]
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


def test_examples_of_env_deploy(fleet: Fleet, example: Path, tools: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/my_env-linux-64").symlink_to(example)
    (tmp_path / "dist/tools-linux-64").symlink_to(tools)
    bundles.for_platform("linux-aarch64", tools, tmp_path / "dist/my_env-linux-aarch64")
    results = run("env_deploy", tmp_path, "-i", str(fleet.inventory))
    assert [result["changed"] for result in results] == [True, True, True]
    fleet.host("host").run("/usr/local/bin/python3.11 -c 'import six'; test ! -e /opt/conda/envs/my_env")
    assert_as_documented("env_deploy", results)
