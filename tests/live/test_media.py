# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stick with FAT32: written, verified by what every machine has, and read behind the gap, as its README says.

The kernel of a test machine may lack vfat, so files get on and off a real image by mtools.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.ansible import BIN, Play, play
from world.fleet import Fleet, HostSpec
from world.stick import PLACE, make, plug

PART = 20 << 20


@pytest.fixture(scope="module")
def builder(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with wheels of Ansible, and the collection."""
    directory = tmp_path_factory.mktemp("builder")
    make(example, directory)
    return directory


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    with Fleet(tmp_path_factory.mktemp("site"), [HostSpec("controller", controller=True, storage="tmpfs")]) as started:
        yield started


def export(cwd: Path, bundles: list[Path], *start: Path) -> Play:
    variables = {
        "bundle_export_bundles": list(map(str, bundles)),
        "bundle_export_medium": "medium",
        "bundle_export_part_size": PART,
        "bundle_export_start": list(map(str, start)),
    }
    return play("airgap.conda.export", "-e", json.dumps(variables), cwd=cwd, home=cwd)


def through_fat(medium: Path, directory: Path) -> Path:
    """What a FAT32 image of the medium gives back."""
    image, back = directory / "fat.img", directory / "back"
    back.mkdir()
    subprocess.run(["truncate", "-s", "600M", image], check=True)
    subprocess.run(["mkfs.vfat", "-F", "32", image], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["mcopy", "-s", "-i", image, *sorted(medium.iterdir()), "::/"], check=True)
    subprocess.run(["mcopy", "-s", "-n", "-i", image, "::/*", back], check=True)
    image.unlink()
    return back


def test_a_stick_crosses_the_gap(site: Fleet, builder: Path, example: Path, tmp_path: Path) -> None:
    start = [builder / "stick/wheels", *(builder / "stick").glob("airgap-conda-*.tar.gz")]
    done = export(tmp_path, [example], *start)
    assert done.rc == 0 and done.changed == 1, done.output
    again = export(tmp_path, [example], *start)
    assert again.rc == 0 and again.changed == 0, again.output
    sums = (tmp_path / "medium/SHA256SUMS").read_bytes()
    assert hashlib.sha256(sums).hexdigest() in again.output
    assert (tmp_path / f"medium/bundles/{example.name}/archive.tar.zst.003").exists()
    stick = through_fat(tmp_path / "medium", tmp_path)
    machine = site.host("controller")
    plug(stick, machine)
    # What the README on the stick says, typed as it stands.
    commands = re.findall(r"^ {7}(\S.*)$", (stick / "README.txt").read_text(), re.MULTILINE)
    assert len(commands) == 8
    script = "set -e\n" + "\n".join(commands).replace("WHERE-THIS-MEDIUM-IS", PLACE)
    typed = machine.ssh(script, check=False, timeout=900)
    assert typed.returncode == 0, typed.stdout + typed.stderr
    taken = machine.run(f"cd ~/dist/{example.name} && sha256sum *").stdout
    assert hashlib.sha256((example / "archive.tar.zst").read_bytes()).hexdigest() in taken
    assert machine.run("cat ~/dist/my_env-linux-64.latest").stdout.strip() == example.name


def test_a_delta_becomes_the_newer_bundle_and_damage_is_named(example: Path, earlier: Path, tmp_path: Path) -> None:
    given = json.dumps({"older": str(earlier), "newer": str(example), "dist": "outgoing"})
    words = [str(BIN / "ansible"), "localhost", "-m", "airgap.conda.bundle_delta", "-a", given]
    made = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout
    (delta,) = (tmp_path / "outgoing").iterdir()
    assert export(tmp_path, [delta]).rc == 0
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / earlier.name).symlink_to(earlier)
    part = tmp_path / "medium/bundles" / delta.name / "delta.tar.zst"
    whole = part.read_bytes()
    part.write_bytes(bytes(len(whole)))
    variables = ("-e", "bundle_import_medium=medium")
    refused = play("airgap.conda.import", *variables, cwd=tmp_path, home=tmp_path)
    assert refused.rc != 0 and f"{part} is damaged; write the medium again" in refused.output, refused.output
    part.write_bytes(whole)
    done = play("airgap.conda.import", *variables, cwd=tmp_path, home=tmp_path)
    assert done.rc == 0 and done.changed == 2, done.output
    for name in ("manifest.json", "archive.tar.zst", "files.jsonl.gz"):
        assert (tmp_path / "dist" / example.name / name).read_bytes() == (example / name).read_bytes()
    again = play("airgap.conda.import", *variables, cwd=tmp_path, home=tmp_path)
    assert again.rc == 0 and again.changed == 0, again.output
