# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A builder that is another machine: the bundle comes here, long work is not silent, and who built shows nowhere."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from world import ansible, bundles, cache
from world.ansible import Play
from world.controller import Controller
from world.fleet import Fleet, Host, HostSpec

CHECKOUT = Path(__file__).parents[2]
#: Of a builder with Debian 12.
PLATFORM = ("--only-binary=:all:", "--python-version=3.11", "--platform=manylinux2014_x86_64")
LABEL = "my_env-linux-64"
#: Everything of the builder's user that Ansible itself does not write, with the times of its content.
LISTING = "find . -path ./.ansible -prune -o ! -type d -printf '%P %s %T@ %i\\n' | sort; ls -A /tmp"


def wheels(*wanted: str) -> Path:
    """The wheels of these requirements and of all that they require."""

    def download(into: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--dest", str(into)]
        done = ansible.run([*pip, *PLATFORM, *wanted], cwd=into)
        assert done.rc == 0, done.output

    return cache.entry("requirements", [wanted, PLATFORM], download)


@pytest.fixture(scope="module")
def libraries() -> Path:
    """What a builder needs, as wheels."""
    lines = (CHECKOUT / "requirements.txt").read_text().splitlines()
    return wheels(*(line for line in lines if line and not line.startswith("#")))


@pytest.fixture(scope="module")
def distributions() -> Path:
    """What pip installs in the environment, as wheels."""
    dependencies = yaml.safe_load(bundles.EXAMPLE)["dependencies"]
    return wheels(*dependencies[-1]["pip"])


@pytest.fixture(scope="module")
def fleet(
    channel: str, libraries: Path, distributions: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """A machine with Debian 12, the libraries, the channel and the wheels, and a user with a narrow umask."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    if not channel.startswith("file://"):
        pytest.skip("a builder without a network needs a channel in files; unset AIRGAP_TEST_CHANNEL")
    spec = HostSpec("builder", controller=True, storage="tmpfs", size="3g")
    with Fleet(tmp_path_factory.mktemp("fleet"), [spec]) as started:
        machine = started.host("builder")
        source = Path(unquote(urlsplit(channel).path))
        for local, remote in ((source, source.name), (libraries, "libraries"), (distributions, "distributions")):
            machine.push(local, f"/srv/{remote}")
        machine.run("python3 -m venv /opt/builder && chmod -R a+rX /srv")
        machine.run("/opt/builder/bin/pip install -q --no-index --find-links /srv/libraries /srv/libraries/*.whl")
        machine.run("echo 'umask 077' | tee -a .profile >> .bashrc; sed -i '1i umask 077' .bashrc", user="plain")
        yield started


@pytest.fixture
def machine(fleet: Fleet) -> Host:
    return fleet.host("builder")


def build(controller: Controller, channel: str, *arguments: str) -> Play:
    """Build on the other machine, as its plain user."""
    variables = {
        "env_build_hosts": "builder",
        "env_build_spec": "environment.yml",
        "env_build_channels": [f"file:///srv/{channel.rpartition('/')[2]}"],
        "env_build_pip_args": ["--no-index", "--find-links", "/srv/distributions"],
        "ansible_python_interpreter": "/opt/builder/bin/python",
        "ansible_user": "plain",
    }
    return controller.run("build", "-e", json.dumps(variables), *arguments)


def write_spec(directory: Path) -> None:
    """Write the example, with some requirements in a file of their own, which no other machine has."""
    (directory / "environment.yml").write_text(bundles.EXAMPLE.replace("requests==2.31.0", "-r more.txt"))
    (directory / "more.txt").write_text("requests==2.31.0\n")


def build_here(directory: Path, channel: str, distributions: Path) -> Path:
    """Build on this machine, as the user of this suite; returns the bundle."""
    directory.mkdir()
    write_spec(directory)
    variables = {
        "env_build_channels": [channel],
        "env_build_pip_args": ["--no-index", "--find-links", str(distributions)],
    }
    done = ansible.play("airgap.conda.build", "-e", json.dumps(variables), cwd=directory, home=directory)
    assert done.rc == 0, done.output
    return (directory / "dist" / LABEL).resolve()


def manifest(bundle: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((bundle / "manifest.json").read_text())
    return found


def damaged(bundle: Path) -> list[str]:
    """The files of a bundle that are not what its manifest says."""
    stated = json.loads((bundle / "manifest.json").read_text())
    pieces = [stated["files"], *(encoding["piece"] for encoding in stated["encodings"])]
    found = [
        piece["file"]
        for piece in pieces
        if hashlib.sha256((bundle / piece["file"]).read_bytes()).hexdigest() != piece["sha256"]
    ]
    listed = gzip.decompress((bundle / "files.jsonl.gz").read_bytes())
    return found + ["content id"] * (hashlib.sha256(listed).hexdigest() != stated["content_id"])


def entries(bundle: Path) -> dict[str, object]:
    """What is in a bundle, by path."""
    lines = map(json.loads, gzip.decompress((bundle / "files.jsonl.gz").read_bytes()).splitlines())
    return {str(line.get("path", "")): line for line in lines}


def listing(directory: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in directory.rglob("*"))


def test_a_bundle_is_built_elsewhere_and_comes_here(
    machine: Host, controller: Controller, channel: str, distributions: Path, tmp_path: Path
) -> None:
    write_spec(tmp_path)
    first = build(controller, channel)
    assert first.rc == 0 and first.changed == 2, first.output
    told = [line.strip() for line in first.output.splitlines() if line.startswith("  builder: ")]
    for phase in ("solving 4 dependencies for linux-64", "installing 21/21", "pip: installing 2 requirements"):
        assert f"builder: {phase}" in told, first.output
    bundle = (tmp_path / "dist" / LABEL).resolve()
    assert bundle.name == (tmp_path / "dist" / f"{LABEL}.latest").read_text().strip()
    assert bundle.name == f"{LABEL}-{str(manifest(bundle)['content_id'])[:12]}"
    assert damaged(bundle) == []
    assert {path.name for path in (tmp_path / "dist").iterdir()} == {LABEL, f"{LABEL}.latest", bundle.name}

    before = (machine.run(LISTING, user="plain").stdout, listing(tmp_path / "dist"))
    second = build(controller, channel)
    assert second.rc == 0 and second.changed == 0, second.output
    (tmp_path / "environment.yml").write_text(bundles.EARLIER)
    checked = build(controller, channel, "--check", "--diff")
    assert checked.rc == 0 and checked.changed >= 1, checked.output
    for line in ("-pandas 1.5.3", "+pandas 1.5.2", "-attrs 23.1.0 (pip)", "+attrs 22.2.0 (pip)"):
        assert line in checked.output
    assert (machine.run(LISTING, user="plain").stdout, listing(tmp_path / "dist")) == before

    # Scripts that installers write begin otherwise where their Python has a long path.
    here = build_here(tmp_path / ("a-long-way-down-" * 4), channel, distributions)
    assert entries(here) == entries(bundle)
    for key in ("content_id", "tar", "packages", "needs"):
        assert manifest(here)[key] == manifest(bundle)[key]
    assert (here / "licenses.txt").read_text() == (bundle / "licenses.txt").read_text()
    machine.run("rm -rf ~plain/.cache")


def test_root_builds_for_someone_who_may_not_read_what_is_roots(
    machine: Host, controller: Controller, channel: str, tmp_path: Path
) -> None:
    (tmp_path / "environment.yml").write_text(bundles.TOOLS)
    built = build(controller, channel, "--become", "-e", "ansible_user=admin")
    assert built.rc == 0 and built.changed == 2, built.output
    bundle = (tmp_path / "dist" / "tools-linux-64").resolve()
    assert damaged(bundle) == []
    assert machine.run("ls -A /var/tmp").stdout == ""
    again = build(controller, channel, "--become", "-e", "ansible_user=admin")
    assert again.rc == 0 and again.changed == 0, again.output
    machine.run("rm -rf ~root/.cache")
