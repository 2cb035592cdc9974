# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tiny bundles, made by hand: a tool, a library, links and records, but no Python in them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import traceback
import typing as t
import warnings
from pathlib import Path

import zstandard
from ansible_collections.airgap.conda.plugins.module_utils._builder.archive import ArchiveWriter
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import host_facts
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    BINARY,
    CONDA_META,
    DIRECTORY,
    EPOCH,
    FILE,
    LINK,
    PLACEHOLDER,
    TEXT,
    WHEEL_RECORD,
    Entry,
    Relocations,
    content_id_of,
    render_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import (
    FILES_NAME,
    MANIFEST_NAME,
    Manifest,
    Needs,
    Piece,
    render_manifest,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package

HERE: Relocations = ((PLACEHOLDER, TEXT),)

#: What conda-build writes into packages, here as long as ours.
CONDA_PLACEHOLDER = "/conda" + "_placehold" * 24


def child_environment() -> dict[str, str]:
    """Return the environment in which another process finds the collection where we do."""
    collections = str(Path(__file__).parents[8])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([collections, os.environ.get("PYTHONPATH", "")])}


class Member(t.NamedTuple):
    """An entry and its bytes."""

    entry: Entry
    data: bytes = b""


def file(
    path: str,
    data: bytes = b"",
    mode: int = 0o644,
    relocations: Relocations = (),
    *,
    renews: str = "",
    mtime: int = EPOCH,
) -> Member:
    """Return a file that holds *data*."""
    digest = hashlib.sha256(data).hexdigest()
    return Member(Entry(path, FILE, mode, len(data), digest, "", mtime, relocations, renews), data)


def link(path: str, target: str, relocations: Relocations = ()) -> Member:
    """Return a link."""
    return Member(Entry(path, LINK, target=target, relocations=relocations))


def directory(path: str) -> Member:
    """Return an empty directory."""
    return Member(Entry(path, DIRECTORY))


def tool_members(version: str) -> list[Member]:
    """Return the members of an environment with one tool of *version*."""
    tool = f"#!/bin/sh\necho {version} at {PLACEHOLDER}\n".encode()
    library = b"\x7fELF\0" + CONDA_PLACEHOLDER.encode() + b"/lib:" + CONDA_PLACEHOLDER.encode() + b"\0end\0"
    record = {
        "name": "tool",
        "version": version,
        "paths_data": {"paths": [{"_path": "bin/tool", "sha256_in_prefix": hashlib.sha256(tool).hexdigest()}]},
    }
    metadata = (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()
    site = "lib/python3.11/site-packages"
    return [
        file("bin/tool", tool, 0o755, HERE),
        file(f"conda-meta/tool-{version}-0.json", metadata, renews=CONDA_META),
        file("conda-meta/history", b"==> 1980-01-01 00:00:00 <==\n"),
        file("etc/caf\udce9", b"odd name", 0o600),
        file("lib/libtool.so.1", library, 0o755, ((CONDA_PLACEHOLDER, BINARY),)),
        link("lib/libtool.so", "libtool.so.1"),
        link("lib/own", f"{PLACEHOLDER}/bin", HERE),
        file(
            f"{site}/x.py",
            f"WHERE = '{PLACEHOLDER}'\nVERSION = '{version}'\n".encode(),
            0o644,
            HERE,
            mtime=1_680_000_000,
        ),
        file(f"{site}/x-1.dist-info/RECORD", b"x.py,sha256=old,1\n", renews=WHEEL_RECORD),
        directory("var/empty"),
    ]


def tar_of(members: t.Iterable[Member], path: Path) -> ArchiveWriter:
    """Write *members* to an archive at *path*, in order."""
    writer = ArchiveWriter(str(path))
    for member in members:
        writer.add(member.entry, [member.data])
    return writer


def noise(seed: int, size: int) -> bytes:
    """Bytes that no codec makes shorter, the same ones each time."""
    return random.Random(seed).getrandbits(8 * size).to_bytes(size, "little")


class TinyBundle:
    """A bundle in a directory, and what a controller makes of it."""

    def __init__(self, path: Path, members: t.Sequence[Member], needs: t.Mapping[str, t.Any], codec: str) -> None:
        self.path = path
        path.mkdir()
        self.entries = [member.entry for member in members]
        carrier = file("bin/activate", b"# not deployed\n", 0o755)
        writer = tar_of([*members, carrier], path / "archive.tar.zst")
        encoding = writer.close()
        if codec == "gzip":
            encoding = encoding._replace(codec=codec, piece=_as_gzip(path))
        files = render_files(self.entries)
        facts = {
            "platform": host_facts().platform,
            "glibc": "",
            "cuda": "",
            "prefix_max": 240,
            "narrowest": "lib/libtool.so.1",
            "size": sum(entry.size for entry in self.entries),
            "inodes": 2 * len(self.entries),
        }
        self.manifest = Manifest(
            name="ml",
            content_id=content_id_of(files),
            needs=Needs(**{**facts, **needs}),
            files=_written(path / FILES_NAME, gzip.compress(files, mtime=0)),
            tar_sha256=writer.tar_sha256.hexdigest(),
            tar_size=writer.tar_size,
            encodings=(encoding,),
            packages=(Package("tool", path.name),),
            carriers=("bin/activate",),
        )
        _written(path / MANIFEST_NAME, render_manifest(self.manifest))

    @property
    def codec(self) -> str:
        return self.manifest.encodings[0].codec

    @property
    def archive(self) -> Path:
        return self.path / self.manifest.encodings[0].piece.file

    @property
    def pieces(self) -> dict[str, Piece]:
        return {
            "manifest": _piece(self.path / MANIFEST_NAME),
            "files": self.manifest.files,
            "archive": self.manifest.encodings[0].piece,
        }

    @property
    def stream(self) -> bytes:
        """All pieces one after the other, as a host gets them."""
        return b"".join((self.path / piece.file).read_bytes() for piece in self.pieces.values())

    @property
    def offer(self) -> dict[str, t.Any]:
        return {
            "content_id": self.manifest.content_id,
            "needs": self.manifest.needs._asdict(),
            "pieces": {kind: piece._asdict() for kind, piece in self.pieces.items()},
            "codec": self.codec,
            "carriers": list(self.manifest.carriers),
            "label": self.manifest.label,
            "derived": False,
            "base": "",
            "lost": [],
        }


def make_bundle(
    path: Path, members: t.Sequence[Member], needs: t.Optional[t.Mapping[str, t.Any]] = None, codec: str = "zstd"
) -> TinyBundle:
    """Write the bundle of *members* into the new directory *path*."""
    return TinyBundle(path, members, needs or {}, codec)


def _as_gzip(path: Path) -> Piece:
    with open(path / "archive.tar.zst", "rb") as archive:
        tar = zstandard.ZstdDecompressor().stream_reader(archive).read()
    return _written(path / "archive.tar.gz", gzip.compress(tar))


def _written(path: Path, data: bytes) -> Piece:
    path.write_bytes(data)
    return _piece(path)


def _piece(path: Path) -> Piece:
    data = path.read_bytes()
    return Piece(path.name, len(data), hashlib.sha256(data).hexdigest())


# --- what is on disk ------------------------------------------------------------------------------------------------


def snapshot(root: t.Union[str, Path], *left_out: str) -> dict[str, t.Any]:
    """Return everything below *root* but the trees *left_out*: mode and bytes of files, targets of links."""
    found: dict[str, t.Any] = {}
    for top, directories, names in os.walk(root):
        directories[:] = [
            name for name in directories if os.path.relpath(os.path.join(top, name), root) not in left_out
        ]
        for name in (*directories, *names):
            path = os.path.join(top, name)
            found[os.path.relpath(path, root)] = _state(path)
    return found


def _state(path: str) -> t.Any:
    mode = os.lstat(path).st_mode
    if os.path.islink(path):
        return (mode, os.readlink(path))
    if os.path.isdir(path):
        return (mode,)
    with open(path, "rb") as opened:
        return (mode, opened.read())


# --- other processes ------------------------------------------------------------------------------------------------


def end_of(work: t.Callable[[], object]) -> int:
    """Do *work* in a child; return the code it ends with."""
    with warnings.catch_warnings():
        # Said of threads of the test runner, which hold no lock that is needed here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] >> 8


def in_child(work: t.Callable[[], object]) -> None:
    """Do *work* in a child, whose limits and user end with it; fail where it does."""
    assert end_of(work) == 0


def as_a_user(work: t.Callable[[], object]) -> None:
    """Do *work* in a child, as a user without privileges where this is root; relative paths stay within reach."""

    def unprivileged() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        work()

    in_child(unprivileged)
