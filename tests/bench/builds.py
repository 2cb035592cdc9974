# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is rolled out: the example as our bundle and as conda-pack's archive, and one five times its size."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import zstandard
from world import bundles, channel
from world.ansible import BIN, play, run
from world.process import WorldError
from world.process import run as run_program

TIMES = 5

#: Not copied: bytecode does not travel, and compiled parts of Python name its prefix, which a package alone may.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "lib-dynload", "config-*")


@dataclasses.dataclass(frozen=True)
class Build:
    """The example, kept with its prefix and package cache, so that it can be packed again."""

    directory: Path
    prefix: Path
    bundle: Path
    #: conda-pack's.
    archive: Path

    def enlarged(self) -> Path:
        """Make the prefix several times as large, with files of its own, and return the bundle of that."""
        if (self.directory / "large-linux-64").exists():
            return (self.directory / "large-linux-64").resolve()
        library = next((self.prefix / "lib").glob("python3.*"))
        whole = _size(self.prefix)
        while _size(self.prefix) < (TIMES - 0.5) * whole:
            copy = Path(tempfile.mkdtemp(prefix="copy", dir=self.prefix / "lib"))
            shutil.copytree(library, copy, symlinks=True, ignore=_LEFT_OUT, dirs_exist_ok=True)
        return self._pack_large()

    def touched(self) -> Path:
        """Return the bundle of the large prefix with one more file."""
        self.enlarged()
        (self.prefix / "lib/one-more-file").write_text("one more\n")
        return self._pack_large()

    def _pack_large(self) -> Path:
        arguments = {"prefix": str(self.prefix), "name": "large", "dist": str(self.directory)}
        command = [str(BIN / "ansible"), "localhost", "-m", "airgap.conda.bundle", "-a", json.dumps(arguments)]
        done = run(command, cwd=self.directory, home=self.directory / "home")
        if done.rc:
            raise WorldError(f"the large bundle cannot be made:\n{done.output}")
        return (self.directory / "large-linux-64").resolve()


def make(directory: Path) -> Build:
    """Build the example in *directory* as a user does, and pack it both ways."""
    home, work = directory / "home", directory / "work"
    home.mkdir()
    (directory / "environment.yml").write_text(bundles.EXAMPLE)
    variables = {
        "env_build_channels": [channel.ensure()],
        "env_build_dist": str(directory),
        "env_build_workdir": str(work),
    }
    done = play("airgap.conda.build", "-e", json.dumps(variables), cwd=directory, home=home)
    if done.rc:
        raise WorldError(f"the example cannot be built:\n{done.output}")
    prefix = next(work.glob("*/*/conda-meta")).parent
    archive = directory / "my_env.tar.gz"
    run_program(conda_pack(prefix, archive), timeout=120)
    return Build(directory, prefix, (directory / "my_env-linux-64").resolve(), archive)


def conda_pack(prefix: Path, archive: Path) -> list[str | Path]:
    """The command that packs as fast as conda-pack can."""
    return [BIN / "conda-pack", "--quiet", "--n-threads", "-1", "--prefix", prefix, "--output", archive]


def plain(bundle: Path, archive: Path) -> Path:
    """Make of *bundle* the archive that conda-pack makes unless told otherwise: every host can unpack it with tar."""
    with zstandard.open(bundle / "archive.tar.zst") as tar, gzip.open(archive, "wb", compresslevel=4) as packed:
        shutil.copyfileobj(tar, packed, 1 << 20)
    return archive


def described(bundle: Path) -> dict[str, Any]:
    """What *bundle* says of itself."""
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return found


def packed_size(bundle: Path) -> int:
    """Bytes of its archive."""
    size: int = described(bundle)["encodings"][0]["piece"]["size"]
    return size


def beside(bundle: Path, large: Path) -> str:
    """What to call *large*, another bundle: how much larger it is than *bundle* once deployed."""
    needs, more = described(bundle)["needs"], described(large)["needs"]
    return f"large ({more['size'] / needs['size']:.1f} x bytes, {more['inodes'] / needs['inodes']:.1f} x files)"


def _size(directory: Path) -> int:
    paths = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in paths)
