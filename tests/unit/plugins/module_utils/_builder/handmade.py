# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Environments made by hand: packages in a cache, and a prefix they are installed in, as conda would have it."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

#: As long as conda-build's.
CONDA_PLACEHOLDER = "/croot" + "/h_env_placehold" + "_placehold" * 23

SITE = "lib/python3.11/site-packages"


class PackageFile(t.NamedTuple):
    """One file, or link, of a package, as it lies in the cache."""

    data: bytes = b""
    mode: int = 0o644
    #: 'text' or 'binary' where it names the placeholder.
    file_mode: str = ""
    #: Of a link.
    target: str = ""


class Handmade:
    """One prefix and one package cache below *top*."""

    def __init__(self, top: Path, name: str = "env") -> None:
        self.prefix = top / name
        self.cache = top / "pkgs"
        (self.prefix / "conda-meta").mkdir(parents=True)
        (self.prefix / "conda-meta/history").write_text(f"==> {os.getpid()} <==\n# cmd: conda create\n")

    def install(self, name: str, files: t.Mapping[str, PackageFile], **fields: t.Any) -> None:
        """Make a package of *files*, and install it."""
        self._install(name, files, {path: path for path in files}, [], fields)

    def install_noarch(self, name: str, files: t.Mapping[str, PackageFile], commands: t.Sequence[str]) -> None:
        """Make a noarch Python package, and install it with its *commands* and with bytecode, as conda does."""
        targets = {path: path.replace("site-packages", SITE, 1) for path in files}
        made = [f"bin/{command}" for command in commands]
        for path in made:
            self.put(path, f"#!{self.prefix}/bin/python\nimport {name}\n".encode(), 0o755)
        for path in [target for target in targets.values() if target.endswith(".py")]:
            directory, base = path.rpartition("/")[::2]
            made.append(f"{directory}/__pycache__/{base[:-3]}.cpython-311.pyc")
            self.put(made[-1], b"made at install " + str(self.prefix).encode())
        self._install(name, files, targets, made, {"subdir": "noarch", "noarch": "python"})
        link = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        (self._cached(name) / "info/link.json").write_text(json.dumps(link))

    def put(self, path: str, data: bytes, mode: int = 0o644) -> Path:
        """Write a file that no package owns."""
        full = self.prefix / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)
        full.chmod(mode)
        return full

    def link(self, path: str, target: str) -> None:
        """Make a link that no package owns."""
        full = self.prefix / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.symlink_to(target)

    def _cached(self, name: str) -> Path:
        return self.cache / f"{name}-1.0-0"

    def _install(
        self,
        name: str,
        files: t.Mapping[str, PackageFile],
        targets: t.Mapping[str, str],
        made: t.Sequence[str],
        fields: t.Mapping[str, t.Any],
    ) -> None:
        stated = [self._extract(name, path, file) for path, file in files.items()]
        (self._cached(name) / "info").mkdir(parents=True)
        (self._cached(name) / "info/paths.json").write_text(json.dumps({"paths": stated, "paths_version": 1}))
        paths = []
        for (path, file), of_package in zip(files.items(), stated):
            in_prefix = self._place(self._cached(name) / path, self.prefix / targets[path], file)
            paths.append({**of_package, "_path": targets[path], "sha256_in_prefix": in_prefix})
        record = {
            "name": name,
            "version": "1.0",
            "build": "0",
            "subdir": "linux-64",
            "channel": "https://conda.anaconda.org/conda-forge",
            "url": f"https://conda.anaconda.org/conda-forge/linux-64/{name}-1.0-0.conda",
            "depends": [],
            "extracted_package_dir": str(self._cached(name)),
            "link": {"source": str(self._cached(name)), "type": 1},
            "files": [*targets.values(), *made],
            "paths_data": {"paths": paths, "paths_version": 1},
            **fields,
        }
        (self.prefix / f"conda-meta/{name}-{record['version']}-0.json").write_text(json.dumps(record, indent=2))

    def _extract(self, name: str, path: str, file: PackageFile) -> dict[str, t.Any]:
        full = self._cached(name) / path
        full.parent.mkdir(parents=True, exist_ok=True)
        if file.target:
            full.symlink_to(file.target)
            return {"_path": path, "path_type": "softlink", "sha256": hashlib.sha256(b"").hexdigest()}
        full.write_bytes(file.data)
        full.chmod(file.mode)
        stated = {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(file.data).hexdigest(),
            "size_in_bytes": len(file.data),
        }
        if file.file_mode:
            stated.update(file_mode=file.file_mode, prefix_placeholder=CONDA_PLACEHOLDER)
        return stated

    def _place(self, cached: Path, placed: Path, file: PackageFile) -> str:
        """Install one file as conda does: by link, or with the prefix written into it."""
        placed.parent.mkdir(parents=True, exist_ok=True)
        if file.target:
            placed.symlink_to(file.target)
            return hashlib.sha256(b"").hexdigest()
        if not file.file_mode:
            os.link(cached, placed)
            return hashlib.sha256(file.data).hexdigest()
        old, new = CONDA_PLACEHOLDER.encode(), os.fsencode(self.prefix)
        data = file.data.replace(old, new)
        if file.file_mode == "binary":
            head, tail = file.data.split(old, 1)
            string, rest = tail.partition(b"\0")[::2]
            data = head + new + string + b"\0" * (1 + len(old) - len(new)) + rest
        placed.write_bytes(data)
        placed.chmod(file.mode)
        return hashlib.sha256(data).hexdigest()
