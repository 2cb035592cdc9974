# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The one uncompressed tar and its zstd encoding, written in one pass; hashing and compression beside the reader."""

from __future__ import annotations

import hashlib
import os
import queue
import tarfile
import threading
import typing as t
import zlib

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import ZSTD
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import DIRECTORY, FILE, LINK, Entry
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Encoding, Piece

#: Fixed, as another level or threading gives other bytes. Level 6 takes 1.6 times as long for 7 % less on the example;
#: `make bench` has the figures.
LEVEL = 4

#: Bytes gathered before the other thread is woken.
_BATCH = 1 << 20
_TAR_BLOCK = 512
_TAR_RECORD = 10240
#: What a header holds without an extended one: bytes of a name, bytes of a file.
_NAME_MAX = 100
_SIZE_MAX = 8**11
_TYPES = {FILE: tarfile.REGTYPE, LINK: tarfile.SYMTYPE, DIRECTORY: tarfile.DIRTYPE}


class ArchiveWriter:
    """Writes a plain tar, compressed, to *path*; entries in the order they are added.

    Owner 0, no names, canonical modes and times: equal entries give an equal tar.
    """

    def __init__(self, path: str, codec: str = ZSTD) -> None:
        self._path = path
        self._codec = codec
        self._version, self._compressor = _zstd() if codec == ZSTD else _gzip()
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=16)
        self._batch: list[bytes] = []
        self._batched = 0
        self._failure: Exception | None = None
        self.tar_sha256 = hashlib.sha256()
        self.tar_size = 0
        self._thread = threading.Thread(target=self._drain)
        self._thread.start()

    def add(self, entry: Entry, chunks: t.Iterable[bytes] = ()) -> str:
        """Append *entry* with the bytes of *chunks*; return their sha256 (hex). The size must be that of *entry*."""
        self._write(_header(entry))
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            self._write(chunk)
        if size != entry.size:
            raise PackError(f"{entry.path} changed while it was packed; nothing else may write to the environment")
        self._write(b"\0" * (-size % _TAR_BLOCK))
        return digest.hexdigest()

    def close(self) -> Encoding:
        """Finish the tar and its encoding and return what was written."""
        size = self.tar_size + self._batched
        self._write(b"\0" * (2 * _TAR_BLOCK + -(size + 2 * _TAR_BLOCK) % _TAR_RECORD))
        self._flush()
        self._end()
        if self._failure is not None:
            raise PackError(f"cannot write {self._path}: {self._failure}")
        size, sha256 = self._written
        piece = Piece(os.path.basename(self._path), size, sha256)
        return Encoding(codec=self._codec, version=self._version, level=LEVEL, piece=piece)

    def abandon(self) -> None:
        """End the other thread after a failure; the file is the caller's to remove."""
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _write(self, data: bytes) -> None:
        self._batch.append(data)
        self._batched += len(data)
        if self._batched >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._queue.put(b"".join(self._batch))
        self.tar_size += self._batched
        self._batch, self._batched = [], 0

    def _drain(self) -> None:
        """Hash and compress what is queued; after a failure go on emptying the queue: the reader must not hang."""
        try:
            with open(self._path, "xb") as file:
                self._written = self._encode(file)
        except Exception as error:
            self._failure = error
            while self._queue.get() is not None:
                pass

    def _encode(self, file: t.BinaryIO) -> tuple[int, str]:
        compressed = self._compressor()
        digest, size = hashlib.sha256(), 0

        def emit(data: bytes) -> int:
            digest.update(data)
            file.write(data)
            return len(data)

        while (data := self._queue.get()) is not None:
            self.tar_sha256.update(data)
            size += emit(compressed.compress(data))
        size += emit(compressed.flush())
        return size, digest.hexdigest()


class Compressor(t.Protocol):
    """What both libraries have."""

    def compress(self, data: bytes) -> bytes:
        """Take *data* and return what is ready."""

    def flush(self) -> bytes:
        """Return the rest."""


def _zstd() -> tuple[str, t.Callable[[], Compressor]]:
    import zstandard

    version = ".".join(str(part) for part in zstandard.ZSTD_VERSION)
    threads = max(1, os.cpu_count() or 1)
    return version, zstandard.ZstdCompressor(level=LEVEL, threads=threads, write_checksum=True).compressobj


def _gzip() -> tuple[str, t.Callable[[], Compressor]]:
    return zlib.ZLIB_RUNTIME_VERSION, lambda: zlib.compressobj(LEVEL, wbits=31)


def _header(entry: Entry) -> bytes:
    mode = entry.mode if entry.type == FILE else 0o777 if entry.type == LINK else 0o755
    name, target = (text.encode("utf-8", "surrogateescape") for text in (entry.path, entry.target))
    fits = max(len(name), len(target)) <= _NAME_MAX and entry.size < _SIZE_MAX and (name + target).isascii()
    if fits and entry.type != DIRECTORY:
        return _short_header(name, target, mode, entry)
    info = tarfile.TarInfo(entry.path)
    info.type = _TYPES[entry.type]
    info.mode = mode
    info.size = entry.size
    info.mtime = entry.mtime
    info.linkname = entry.target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _short_header(name: bytes, target: bytes, mode: int, entry: Entry) -> bytes:
    """Return what tarfile would, for members that need no extended header; several times faster."""
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, entry.size, entry.mtime)
    rest = _TYPES[entry.type] + target.ljust(_NAME_MAX, b"\0") + b"ustar\x0000"
    head = name.ljust(_NAME_MAX, b"\0") + numbers
    tail = rest.ljust(_TAR_BLOCK - len(head) - 8, b"\0")
    # The sum is made with blanks in its own place.
    return head + b"%06o\0 " % (sum(head) + sum(tail) + 8 * 32) + tail
