# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Decoders of a bundle's archive, with whatever this host has; all streaming."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import gzip
import shutil
import subprocess
import threading
import typing as t
import zlib

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError

ZSTD = "zstd"
GZIP = "gzip"

#: What reading damaged data raises; compression.zstd's own error is added where there is one.
DAMAGED: t.Tuple[t.Type[Exception], ...] = (EOFError, ValueError, gzip.BadGzipFile, zlib.error)
with contextlib.suppress(ImportError):
    from compression.zstd import ZstdError  # Python >= 3.14

    DAMAGED += (ZstdError,)

_CHUNK = 1 << 20


class Reader(t.Protocol):
    """What bytes are read from."""

    def read(self, size: int = -1) -> bytes:
        """Return up to *size* bytes, none at the end."""


def decoders() -> list[str]:
    """Return the codecs this host can decode, best first."""
    return [ZSTD, GZIP] if _zstd_decoder() else [GZIP]


def decoded(codec: str, source: t.BinaryIO) -> t.ContextManager[Reader]:
    """Return what *source*, from where it stands to its end, decodes to; to be left by C(with)."""
    if codec == GZIP:
        return t.cast("t.ContextManager[Reader]", gzip.GzipFile(fileobj=source))
    decoder = _zstd_decoder()
    if decoder is None:
        raise DeployError("this host has nothing that decodes zstd; the archive must be sent as gzip")
    return decoder(source)


def _zstd_decoder() -> t.Callable[[t.BinaryIO], t.ContextManager[Reader]] | None:
    with contextlib.suppress(ImportError):
        from compression import zstd  # Python >= 3.14

        return t.cast("t.Callable[[t.BinaryIO], t.ContextManager[Reader]]", zstd.ZstdFile)
    library = _libzstd()
    if library is not None:
        return lambda source: _LibraryDecoder(library, source)
    return _ProgramDecoder if shutil.which("zstd") else None


def _libzstd() -> ctypes.CDLL | None:
    with contextlib.suppress(OSError):
        return ctypes.CDLL("libzstd.so.1")
    # Asked only where it must be: it runs programs.
    name = ctypes.util.find_library("zstd")
    with contextlib.suppress(OSError):
        return ctypes.CDLL(name) if name else None
    return None


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer (zstd.h, stable API)."""

    _fields_: t.ClassVar[t.Any] = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]


class _LibraryDecoder:
    """Decodes with the libzstd that nearly every Linux has, through ctypes."""

    def __init__(self, library: ctypes.CDLL, source: t.BinaryIO) -> None:
        self._library = library
        library.ZSTD_createDStream.restype = ctypes.c_void_p
        library.ZSTD_decompressStream.restype = ctypes.c_size_t
        library.ZSTD_getErrorName.restype = ctypes.c_char_p
        self._stream = ctypes.c_void_p(library.ZSTD_createDStream())
        self._source = source
        self._room = ctypes.create_string_buffer(_CHUNK)
        self._output = _Buffer(ctypes.cast(self._room, ctypes.c_void_p), _CHUNK, 0)
        self._input = _Buffer(None, 0, 0)
        self._encoded = b""
        #: 0 where a frame has ended.
        self._awaited = 0
        self._ready = b""
        self._at = 0

    def __enter__(self) -> _LibraryDecoder:
        return self

    def __exit__(self, *unused: object) -> None:
        self._library.ZSTD_freeDStream(self._stream)

    def read(self, size: int = -1) -> bytes:
        """Return *size* bytes, fewer only at the end."""
        found = []
        while size and (self._at < len(self._ready) or self._fill()):
            piece = self._ready[self._at : self._at + size] if size > 0 else self._ready[self._at :]
            self._at += len(piece)
            size -= len(piece) if size > 0 else 0
            found.append(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def _fill(self) -> bool:
        """Decode the next bytes; False at the end of the source."""
        self._output.pos = 0
        while not self._output.pos:
            if self._input.pos == self._input.size and not self._refill():
                if self._awaited:
                    raise EOFError("the zstd data ends too early")
                return False
            code = self._library.ZSTD_decompressStream(
                self._stream, ctypes.byref(self._output), ctypes.byref(self._input)
            )
            if self._library.ZSTD_isError(ctypes.c_size_t(code)):
                raise ValueError(
                    f"damaged zstd data: {self._library.ZSTD_getErrorName(ctypes.c_size_t(code)).decode()}"
                )
            self._awaited = code
        self._ready, self._at = bytes(memoryview(self._room)[: self._output.pos]), 0
        return True

    def _refill(self) -> bool:
        self._encoded = self._source.read(_CHUNK)
        self._input = _Buffer(ctypes.cast(ctypes.c_char_p(self._encoded), ctypes.c_void_p), len(self._encoded), 0)
        return bool(self._encoded)


class _ProgramDecoder:
    """Decodes with the zstd program."""

    def __init__(self, source: t.BinaryIO) -> None:
        # A stream, which run_command would keep in memory.
        self._process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            ["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._stdout = t.cast(t.BinaryIO, self._process.stdout)
        self._feeding = threading.Thread(target=self._feed, args=(source,), daemon=True)
        self._feeding.start()

    def _feed(self, source: t.BinaryIO) -> None:
        # A program that ended takes no more, and what cannot be read ends too early: the reader is told of both.
        with contextlib.suppress(OSError), t.cast(t.BinaryIO, self._process.stdin) as stdin:
            shutil.copyfileobj(source, stdin, _CHUNK)

    def __enter__(self) -> _ProgramDecoder:
        return self

    def __exit__(self, *unused: object) -> None:
        self._stdout.close()
        self._process.kill()
        self._process.wait()
        # What it reads is closed by others.
        self._feeding.join()

    def read(self, size: int = -1) -> bytes:
        """Return *size* bytes, fewer only at the end."""
        data = self._stdout.read(size)
        if not data and self._process.wait() != 0:
            raise ValueError("damaged zstd data")
        return data
