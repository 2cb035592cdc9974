# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused, and that nothing is touched then: damaged bundles, unfit hosts, other people's directories."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from world import bundles
from world.controller import Controller
from world.fleet import Fleet, Host, HostSpec

PYTHON = "/opt/conda/envs/tools/bin/python"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One host that is fit, one where little fits."""
    narrow = {"/opt": "size=16m,noexec,mode=755", "/mnt": "size=1g,mode=755"}
    fit = HostSpec("fit", "bookworm", storage="tmpfs")
    unfit = HostSpec("unfit", "bullseye", storage="tmpfs", volumes=narrow)
    with Fleet(tmp_path_factory.mktemp("fleet"), [fit, unfit]) as started:
        yield started


@pytest.fixture
def fit(fleet: Fleet) -> Iterator[Host]:
    yield fleet.host("fit")
    fleet.host("fit").run("rm -rf /opt/conda")


@pytest.fixture
def copied(tools: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be spoilt."""
    return Path(shutil.copytree(tools, tmp_path / "sticks" / tools.name))


def flip(path: Path, at: float) -> None:
    """Change one bit of the file, at that part of its length."""
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * at))
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def truncate(path: Path, at: float) -> None:
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * at))


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a bit of the archive": (lambda bundle: flip(bundle / "archive.tar.zst", 0.7), "is damaged"),
    "half of the archive": (lambda bundle: truncate(bundle / "archive.tar.zst", 0.5), "the manifest says"),
    "no archive": (lambda bundle: (bundle / "archive.tar.zst").unlink(), "cannot be read"),
    "a bit of the file list": (lambda bundle: flip(bundle / "files.jsonl.gz", 0.5), "is damaged"),
    "half of the manifest": (lambda bundle: truncate(bundle / "manifest.json", 0.5), "the manifest is damaged"),
    "no manifest": (lambda bundle: (bundle / "manifest.json").unlink(), "is not a bundle"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_bundle_is_refused_before_anything_is_sent(
    case: str, fit: Host, controller: Controller, copied: Path
) -> None:
    damage, sentence = DAMAGE[case]
    damage(copied)
    sent = fit.interface_bytes()[0]
    refused = controller.rollout(copied, "-l", "fit")
    assert refused.rc != 0 and sentence in refused.output, refused.output
    assert "Traceback" not in refused.output
    assert fit.interface_bytes()[0] - sent < 2_000_000
    assert fit.run("ls /opt/conda/envs/tools", check=False).returncode != 0


def test_a_damaged_bundle_repairs_nothing(fit: Host, controller: Controller, tools: Path, copied: Path) -> None:
    assert controller.rollout(tools, "-l", "fit").rc == 0
    fit.run("rm /opt/conda/envs/tools/bin/pip /opt/conda/envs/tools/lib/python3.11/os.py", check=False)
    flip(copied / "archive.tar.zst", 0.7)
    assert controller.rollout(copied, "-l", "fit").rc != 0
    assert controller.rollout(tools, "-l", "fit").changed == 1
    fit.run(f"{PYTHON} -c 'import six'")


def test_all_that_is_wrong_with_a_host_is_told_at_once(fleet: Fleet, controller: Controller, copied: Path) -> None:
    bundles.edit(copied, lambda manifest: manifest["needs"].update(glibc="2.34", prefix_max=10))
    for arguments in (("--check",), ()):
        refused = controller.rollout(copied, "-l", "unfit", *arguments)
        assert refused.rc != 0, refused.output
        for sentence in ("needs glibc 2.34, this host has 2.31", "MB free", "mounted noexec", "can carry 10 at most"):
            assert sentence in refused.output, refused.output
    assert fleet.host("unfit").run("ls -A /opt").stdout == ""


def test_another_directory_of_the_host_can_be_used(fleet: Fleet, controller: Controller, tools: Path) -> None:
    done = controller.rollout(tools, "-l", "unfit", "-e", "env_deploy_envs_dir=/mnt/envs")
    assert done.rc == 0, done.output
    fleet.host("unfit").run("/mnt/envs/tools/bin/python -c 'import six'")


def test_a_bundle_for_another_platform_is_refused(fit: Host, controller: Controller, copied: Path) -> None:
    bundles.edit(copied, lambda manifest: manifest["needs"].update(platform="linux-aarch64"))
    refused = controller.rollout(copied, "-l", "fit")
    assert refused.rc != 0 and "the bundle is for linux-aarch64, this host is linux-64" in refused.output


def test_a_bundle_under_the_name_of_another_platform_is_refused(controller: Controller, tools: Path) -> None:
    platforms = json.dumps({"env_deploy_bundle": {"linux-aarch64": str(tools)}})
    refused = controller.run("rollout", "-l", "fit", "-e", platforms)
    assert refused.rc != 0 and "is for linux-64, and named as the bundle for linux-aarch64" in refused.output


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_program_that_the_bundle_lacks_is_not_linked(
    arguments: tuple[str, ...], controller: Controller, tools: Path
) -> None:
    commands = json.dumps({"env_deploy_register_commands": ["python3.11", "nosuch"]})
    refused = controller.rollout(tools, "-l", "fit", "-e", commands, *arguments)
    assert refused.rc != 0 and "has no bin/nosuch, which env_deploy_register_commands names" in refused.output


def test_what_others_made_is_not_overwritten(fit: Host, controller: Controller, tools: Path) -> None:
    fit.run("mkdir -p /opt/conda/envs/tools && echo theirs > /opt/conda/envs/tools/file")
    refused = controller.rollout(tools, "-l", "fit")
    assert refused.rc != 0 and "was not deployed by airgap.conda" in refused.output, refused.output
    assert fit.run("ls -A /opt/conda/envs; cat /opt/conda/envs/tools/file").stdout.split() == ["tools", "theirs"]


def test_a_newer_format_is_refused_with_a_sentence(fit: Host, controller: Controller, copied: Path) -> None:
    bundles.edit(copied, lambda manifest: manifest.update(format=99))
    refused = controller.rollout(copied, "-l", "fit")
    assert refused.rc != 0 and "upgrade airgap.conda here" in refused.output, refused.output


def test_a_host_that_is_lost_is_reported_and_others_go_on(
    fleet: Fleet, controller: Controller, tools: Path, tmp_path: Path
) -> None:
    # A connection of its own: one kept open by an earlier play would wait for the cable.
    fresh = ("-e", f"ansible_control_path_dir={tmp_path}/cp", "--timeout", "3")
    fleet.host("unfit").cut()
    try:
        done = controller.rollout(tools, "-e", "env_deploy_envs_dir=/mnt/envs", *fresh)
    finally:
        fleet.host("unfit").mend()
    assert done.recap["unfit"]["unreachable"] == 1 and done.recap["fit"]["failed"] == 0, done.output
