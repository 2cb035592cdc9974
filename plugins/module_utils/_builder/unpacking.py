# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Read archives of every kind that conda-pack writes, known by their first bytes: member by member, nothing trusted.

A member comes as the reader of tars gives it. Names are judged here, so whoever takes a member may make a path of it.
"""

from __future__ import annotations

import bz2
import lzma
import stat
import typing as t
import zipfile

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import DAMAGED, GZIP, ZSTD, Reader, decoded
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import HARD_LINK, Member, members
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    DIRECTORY,
    FILE,
    GENERATION_MARKER,
    LINK,
    path_fault,
)

#: More than any environment has; bounds what a hostile archive makes us keep in mind.
MEMBERS_MAX = 2_000_000

_CHUNK = 1 << 20
#: Of xz, in bytes: twice what its highest level takes.
_MEMORY_MAX = 1 << 27
#: The first bytes of each kind; of a tar, what stands in its first header.
_ZIP, _ZSTD, _GZIP, _BZIP2, _XZ = b"PK\3\4", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"
_SQUASHFS = b"hsqs"
_TAR, _TAR_AT = b"ustar", 257
_HEAD = 263

#: What reading raises where an archive is damaged; the readers of bzip2 say it as an error of the system.
_DAMAGED: t.Tuple[t.Type[Exception], ...] = (
    *DAMAGED,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    OSError,
)

Item = t.TypeVar("Item")
Members = t.Iterator[t.Tuple[Member, t.Iterator[bytes]]]


def read_archive(path: str) -> Members:
    """Yield each member of the archive at *path* with its bytes, which must be taken before the next one.

    Names are relative paths, as they are judged below; C(BundleError) for any other, and where it is damaged.
    """
    with open(path, "rb") as file:
        for count, (member, data) in enumerate(_guarded(path, _members(path, file)), 1):
            if count > MEMBERS_MAX:
                raise BundleError(f"{path} holds more than {MEMBERS_MAX} members; it is refused")
            judged = _judged(path, member)
            if judged.name:
                yield judged, _guarded(path, data)


def _guarded(path: str, items: t.Iterator[Item]) -> t.Iterator[Item]:
    """Yield *items*; what reading them raises becomes one line."""
    try:
        yield from items
    except _DAMAGED as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise BundleError(f"{path} is damaged or cut short ({said}); copy it again") from None


def _judged(path: str, member: Member) -> Member:
    name, target = (_plain(text) for text in (member.name, member.target))
    # One of a tree that we deployed is read over like other marks.
    fault = path_fault(name) if name not in ("", GENERATION_MARKER) else None
    if not fault and member.type not in (FILE, LINK, DIRECTORY, HARD_LINK):
        fault = "is a device, a pipe or the like"
    if not fault and member.type == LINK and (not member.target or "\0" in member.target):
        fault = "is a link to nowhere"
    if fault:
        raise BundleError(f"{path} holds {member.name!r}, which {fault}; it is refused")
    return member._replace(name=name, target=target if member.type == HARD_LINK else member.target)


def _plain(name: str) -> str:
    """Return *name* without the C(./) before it and the slash behind it that some programs write."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return "" if name in (".", "./") else name[:-1] if name.endswith("/") and len(name) > 1 else name


def _members(path: str, file: t.BinaryIO) -> Members:
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith(_ZIP):
        yield from _zip_members(file)
    elif head.startswith(_BZIP2):
        yield from _tar_members(_Streams(file, bz2.BZ2Decompressor))
    elif head.startswith(_XZ):
        yield from _tar_members(_Streams(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_MAX)))
    elif head.startswith(_TAR, _TAR_AT):
        yield from _tar_members(t.cast(Reader, file))
    elif head.startswith((_ZSTD, _GZIP)):
        with decoded(GZIP if head.startswith(_GZIP) else ZSTD, file) as reader:
            yield from _tar_members(reader)
    elif head.startswith(_SQUASHFS):
        raise BundleError(f"{path} is a squashfs image, which is mounted, not unpacked; pack it as tar.zst or tar.gz")
    else:
        raise BundleError(f"{path} is neither a bundle nor an archive that conda-pack writes; name one of these")


def _tar_members(source: Reader) -> Members:
    yield from members(source)
    # To the end, where checksums are.
    while source.read(_CHUNK):
        pass


class _Decompressor(t.Protocol):
    """What bz2 and lzma have."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Return at most *max_length* bytes more."""


class _Streams:
    """Reads compressed streams one behind the other, as conda-pack's threads write them, and no more than asked."""

    def __init__(self, file: t.BinaryIO, decompressor: t.Callable[[], t.Any]) -> None:
        self._file = file
        self._make = decompressor
        self._decompressor: _Decompressor = decompressor()
        self._input = b""

    def read(self, size: int = -1) -> bytes:
        """Return *size* bytes, fewer only at the end."""
        found, left = [], size
        while left:
            data = self._some(left)
            if not data:
                break
            found.append(data)
            left -= len(data)
        return b"".join(found)

    def _some(self, size: int) -> bytes:
        while True:
            if self._decompressor.eof:
                self._input = (self._decompressor.unused_data or self._file.read(_CHUNK)).lstrip(b"\0")
                if not self._input:
                    return b""
                self._decompressor = self._make()
            elif self._decompressor.needs_input:
                self._input = self._input or self._file.read(_CHUNK)
                if not self._input:
                    raise EOFError("it ends too early")
            data = self._decompressor.decompress(self._input, min(size, _CHUNK))
            self._input = b""
            if data:
                return data


def _zip_members(file: t.BinaryIO) -> Members:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind = _zip_kind(info, mode)
            with archive.open(info) as data:
                # Few bytes: a target, which is a path.
                target = data.read(1 << 16).decode("utf-8", "surrogateescape") if kind == LINK else ""
                size = info.file_size if kind == FILE else 0
                yield Member(info.filename, kind, size, target, mode & 0o7777 or 0o644), _chunks(data, size)


def _zip_kind(info: zipfile.ZipInfo, mode: int) -> str:
    if info.is_dir():
        return DIRECTORY
    kinds = {0: FILE, stat.S_IFREG: FILE, stat.S_IFLNK: LINK, stat.S_IFDIR: DIRECTORY}
    return kinds.get(stat.S_IFMT(mode), "other")


def _chunks(data: t.IO[bytes], size: int) -> t.Iterator[bytes]:
    while size:
        chunk = data.read(min(size, _CHUNK))
        if not chunk:
            raise EOFError("it ends too early")
        size -= len(chunk)
        yield chunk
    # Only at its very end is its checksum compared.
    if data.read(1):
        raise ValueError("a member is longer than it says")
