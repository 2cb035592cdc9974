# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small writer of .conda packages: the same tree and metadata give the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

# As long as the longest prefix conda builds for, so that any shorter one fits in its place.
PLACEHOLDER = ("/placeholder/" + "placehold_" * 30)[:255]

# Every file's time, and so the source time in the bytecode.
MTIME = 1_680_000_000

LEVEL = 6
SUBDIR = "linux-64"


@dataclass(frozen=True)
class Package:
    """What a package says of itself."""

    name: str
    version: str
    license: str
    depends: tuple[str, ...] = ()
    build: str = ""
    noarch: bool = False
    entry_points: tuple[str, ...] = ()
    inputs: object = field(default=None, compare=False)
    #: Of packages for one platform.
    platform: str = SUBDIR

    @property
    def build_string(self) -> str:
        """conda's py311h<hash>_0, with the hash of what went in."""
        said = [self.name, self.version, self.depends, self.entry_points, self.inputs]
        digest = hashlib.sha1(json.dumps(said, sort_keys=True).encode(), usedforsecurity=False).hexdigest()[:7]
        return self.build or f"{self._flavour()}h{digest}_0"

    @property
    def subdir(self) -> str:
        return "noarch" if self.noarch else self.platform

    def _flavour(self) -> str:
        if self.noarch:
            return "py"
        return "py311" if "python_abi 3.11.* *_cp311" in self.depends else ""

    def index(self) -> dict[str, object]:
        kind = {"noarch": "python"} if self.noarch else {"arch": "x86_64"}
        system = self.platform.partition("-")[0]
        return {
            **kind,
            "build": self.build_string,
            "build_number": 0,
            "constrains": [],
            "depends": list(self.depends),
            "license": self.license,
            "name": self.name,
            "platform": None if self.noarch else system,
            "subdir": self.subdir,
            "timestamp": MTIME * 1000,
            "version": self.version,
        }

    def about(self) -> dict[str, object]:
        return {"license": self.license, "summary": f"{self.name} for the tests of airgap.conda", "extra": {}}


def write(package: Package, tree: Path, channel: Path) -> Path:
    """Write the package of all files in the tree to its place in the channel."""
    stem = f"{package.name}-{package.version}-{package.build_string}"
    target = channel / package.subdir / f"{stem}.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    files = _files(tree)
    entries = [_path_entry(tree, path) for path in files]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as outer:
        _member(outer, "metadata.json", b'{"conda_pkg_format_version": 2}')
        _member(outer, f"pkg-{stem}.tar.zst", _payload(tree, files))
        _member(outer, f"info-{stem}.tar.zst", _info(package, entries))
    return target


def _member(outer: zipfile.ZipFile, name: str, content: bytes) -> None:
    header = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    header.external_attr = 0o644 << 16
    outer.writestr(header, content)


def _files(tree: Path) -> list[str]:
    found: list[str] = []
    for top, directories, names in os.walk(tree):
        links = [name for name in directories if os.path.islink(os.path.join(top, name))]
        found += (os.path.relpath(os.path.join(top, name), tree) for name in (*names, *links))
    return sorted(found)


def _path_entry(tree: Path, path: str) -> dict[str, object]:
    source = tree / path
    # a link is described by what it leads to, where that is a file of the package
    content = source.read_bytes() if source.is_file() and _leads_inside(tree, source) else b""
    entry: dict[str, object] = {
        "_path": path,
        "path_type": "softlink" if source.is_symlink() else "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if _holds_prefix(source, content):
        entry |= {"file_mode": "binary" if b"\0" in content else "text", "prefix_placeholder": PLACEHOLDER}
    return entry


def _leads_inside(tree: Path, source: Path) -> bool:
    return source.resolve().is_relative_to(tree.resolve())


def _holds_prefix(source: Path, content: bytes) -> bool:
    """Bytecode is passed over, as conda's own builds do: Python corrects its paths on import."""
    return source.suffix != ".pyc" and not source.is_symlink() and PLACEHOLDER.encode() in content


def _payload(tree: Path, files: list[str]) -> bytes:
    packed = io.BytesIO()
    first: dict[int, str] = {}
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in files:
            source = tree / path
            status = source.lstat()
            if source.is_symlink():
                tar.addfile(_header(path, 0o777, link=(tarfile.SYMTYPE, os.readlink(source))))
            elif first.setdefault(status.st_ino, path) != path:
                tar.addfile(_header(path, status.st_mode, link=(tarfile.LNKTYPE, first[status.st_ino])))
            else:
                content = source.read_bytes()
                tar.addfile(_header(path, status.st_mode, size=len(content)), io.BytesIO(content))
    return _compress(packed.getvalue())


def _header(path: str, mode: int = 0o644, *, size: int = 0, link: tuple[bytes, str] | None = None) -> tarfile.TarInfo:
    """The mode of a file is its owner's, whatever the umask."""
    header = tarfile.TarInfo(path)
    header.mtime = MTIME
    header.size = size
    header.mode = (0o755 if mode & 0o100 else 0o644) & ~(0 if mode & 0o200 else 0o222)
    if link:
        header.type, header.linkname = link
    return header


def _info(package: Package, entries: list[dict[str, object]]) -> bytes:
    documents: dict[str, object] = {
        "info/about.json": package.about(),
        "info/index.json": package.index(),
        "info/paths.json": {"paths": entries, "paths_version": 1},
    }
    if package.noarch:
        noarch = {"type": "python", "entry_points": list(package.entry_points)}
        documents["info/link.json"] = {"noarch": noarch, "package_metadata_version": 1}
    texts = {name: json.dumps(document, indent=2, sort_keys=True) + "\n" for name, document in documents.items()}
    texts["info/files"] = "".join(f"{entry['_path']}\n" for entry in entries)
    prefixed = [entry for entry in entries if "file_mode" in entry]
    if prefixed:
        lines = (f'{PLACEHOLDER} {entry["file_mode"]} "{entry["_path"]}"\n' for entry in prefixed)
        texts["info/has_prefix"] = "".join(lines)
    return _compress(_tar_of(texts))


def _tar_of(texts: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(texts):
            content = texts[name].encode()
            tar.addfile(_header(name, size=len(content)), io.BytesIO(content))
    return packed.getvalue()


def _compress(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=LEVEL).compress(content)
