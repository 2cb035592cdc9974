# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives packed by hand with the real conda-pack, of a real environment, deployed to real hosts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import conda_pack
import pytest
from world.ansible import play
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec

#: The unit tests have all that conda-pack writes.
FORMATS = ("tar.gz", "tar.zst", "zip")
PREFIX = "/opt/conda/envs/by_hand"
SPEC = """\
name: by_hand
channels: [{channel}]
dependencies:
  - python=3.11
  - six
  - pip
  - pip:
      - attrs==23.1.0
"""


class Built(NamedTuple):
    """An environment on its builder, and the bundle that this collection makes of it."""

    prefix: Path
    bundle: Path
    archives: Path

    def archive(self, kind: str, name: str = "by_hand", **how: object) -> Path:
        """Pack the environment by hand."""
        path = self.archives / f"{name}.{kind}"
        if not path.exists():
            # Quick rather than small.
            how = {"compress_level": 1, **({"zip_symlinks": True} if kind == "zip" else {}), **how}
            conda_pack.pack(prefix=str(self.prefix), output=str(path), **how)
        return path


@pytest.fixture(scope="module")
def built(channel: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("builder")
    (home / "environment.yml").write_text(SPEC.format(channel=channel))
    (home / "archives").mkdir()
    done = play("airgap.conda.build", "-e", "env_build_spec=environment.yml", cwd=home, home=home)
    assert done.rc == 0, done.output
    (history,) = home.glob(".cache/airgap-conda/build/**/conda-meta/history")
    return Built(history.parents[1], (home / "dist/by_hand-linux-64").resolve(), home / "archives")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), [HostSpec("host", "bookworm", storage="tmpfs")]) as started:
        yield started


@pytest.fixture
def host(fleet: Fleet) -> Iterator[Host]:
    yield fleet.host("host")
    fleet.host("host").run("rm -rf /opt/conda /srv/envs")


def content_id(host: Host, name: str = "by_hand") -> str:
    return host.run(f"cat /opt/conda/envs/{name}/conda-meta/airgap-generation").stdout.strip().partition("-")[2]


def test_an_archive_is_what_our_own_bundle_is(host: Host, controller: Controller, built: Built) -> None:
    expected = json.loads((built.bundle / "manifest.json").read_text())["content_id"][:12]
    first = controller.rollout(built.archive("tar.gz"))
    assert first.rc == 0 and first.changed == 1, first.output
    assert content_id(host) == expected
    assert broken_promises(host, PREFIX) == {}
    assert "23.1.0" in host.run(f"{PREFIX}/bin/pip list --format freeze").stdout
    for kind in FORMATS:
        again = controller.rollout(built.archive(kind))
        assert again.rc == 0 and again.changed == 0, (kind, again.output)


def test_a_zip_with_copies_for_links_deploys(host: Host, controller: Controller, built: Built) -> None:
    done = controller.rollout(built.archive("zip", "copies", zip_symlinks=False))
    assert done.rc == 0, done.output
    assert broken_promises(host, "/opt/conda/envs/copies") == {}


def test_an_archive_for_one_prefix_is_refused_at_another(host: Host, controller: Controller, built: Built) -> None:
    archive = built.archive("tar.gz", "fixed", dest_prefix="/opt/conda/envs/fixed")
    refused = controller.rollout(archive, "-e", "env_deploy_name=moved")
    said = "the archive was packed for /opt/conda/envs/fixed only, here the prefix is /opt/conda/envs/moved;"
    assert refused.rc != 0 and said in refused.output, refused.output
    assert host.run("ls /opt/conda", check=False).returncode != 0
    done = controller.rollout(archive)
    assert done.rc == 0 and done.changed == 1, done.output
    assert broken_promises(host, "/opt/conda/envs/fixed") == {}


def test_an_archive_with_defects_is_refused_by_name(
    host: Host, controller: Controller, built: Built, tmp_path: Path
) -> None:
    library = built.prefix / "lib/own.so"
    library.write_bytes(b"\x7fELF\xff\0" + bytes(built.prefix) + b"/lib\0")
    try:
        archive = built.archive("tar.gz", "defect")
    finally:
        library.unlink()
    refused = controller.rollout(archive)
    assert refused.rc != 0 and "lib/own.so" in refused.output, refused.output
    assert "files that nothing relocates name the builder's" in refused.output and "Traceback" not in refused.output
    assert list((tmp_path / ".cache/airgap-conda/derived").glob("*/*")) == []
    assert host.run("ls /opt/conda", check=False).returncode != 0


def test_the_module_makes_a_bundle_of_an_archive(built: Built, tmp_path: Path) -> None:
    shutil.copy(built.archive("tar.zst"), tmp_path / "by_hand.tar.zst")
    (tmp_path / "derive.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        "    - airgap.conda.bundle: {archive: by_hand.tar.zst, name: by_hand}\n"
    )
    first, second = (play("derive.yml", cwd=tmp_path, home=tmp_path) for _time in range(2))
    assert (first.rc, first.changed, second.rc, second.changed) == (0, 1, 0, 0), first.output + second.output
    assert (tmp_path / "dist/by_hand-linux-64").resolve().name == built.bundle.name
