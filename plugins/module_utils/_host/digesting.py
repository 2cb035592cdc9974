# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Digests: of what goes by, of a file, and of many files, read by as many processes as there are processors.

Plain forks and pipes: what multiprocessing needs (/dev/shm, threads) is not on every host.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import heapq
import os
import select
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.renewal import Digest

#: A path below the root, and its size.
Job = t.Tuple[str, int]

#: Below so many bytes further processes take longer than they save.
_WORTH_A_FORK = 4 << 20
#: What opening a file costs, in bytes that could be read meanwhile.
_OPENING = 24 << 10
_CHUNK = 1 << 18
_DIGEST = 32
_UNREADABLE = bytes(_DIGEST)
_PIPE_SIZE = 1 << 20
_F_SETPIPE_SZ = 1031


class Digests:
    """Digests of files below *root*; reading begins at once, and is waited for when they are asked for."""

    def __init__(self, root: str, jobs: t.Collection[Job], processes: int) -> None:
        self._root = root
        self._found: dict[str, bytes] = {}
        self._readers: list[_Reader] = []
        if processes == 1 or sum(size for _path, size in jobs) < _WORTH_A_FORK:
            self._found = {path: _digest(os.path.join(root, path)) for path, _size in jobs}
        else:
            self._readers = [_Reader(root, share) for share in shares(jobs, processes)]

    def of(self, path: str) -> str | None:
        """Return the sha256 (hex) of the file at *path*; None where it cannot be read."""
        self._wait()
        # A reader may have been killed for want of memory.
        digest = self._found.get(path)
        return digest_of(os.path.join(self._root, path)) if digest is None else _hex(digest)

    def _wait(self) -> None:
        waiting = {reader.descriptor: reader for reader in self._readers}
        poll = select.poll()
        for descriptor in waiting:
            poll.register(descriptor, select.POLLIN)
        while waiting:
            for descriptor, _event in poll.poll():
                if not waiting[descriptor].take():
                    poll.unregister(descriptor)
                    self._found.update(waiting.pop(descriptor).finish())
        self._readers = []


class _Reader:
    """A process that reads its share and writes one digest after the other into a pipe."""

    def __init__(self, root: str, share: t.Sequence[str]) -> None:
        self._share = share
        self._data = bytearray()
        self.descriptor, writing = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            # The child; it returns to nobody.
            with contextlib.suppress(BaseException):
                _write_digests(root, share, writing)
            os._exit(0)
        os.close(writing)

    def take(self) -> bool:
        """Take in what has been written; False at the end."""
        data = os.read(self.descriptor, _PIPE_SIZE)
        self._data += data
        return bool(data)

    def finish(self) -> dict[str, bytes]:
        """Return the digests by path; those are missing that a process did not come to."""
        os.close(self.descriptor)
        os.waitpid(self._pid, 0)
        whole = len(self._data) // _DIGEST
        cut = (bytes(self._data[at * _DIGEST : (at + 1) * _DIGEST]) for at in range(whole))
        return dict(zip(self._share, cut))


def _write_digests(root: str, share: t.Sequence[str], writing: int) -> None:
    with contextlib.suppress(OSError):
        # So that nobody waits for a reader that is busy with the receipt.
        fcntl.fcntl(writing, _F_SETPIPE_SZ, _PIPE_SIZE)
    with os.fdopen(writing, "wb") as pipe:
        for path in share:
            pipe.write(_digest(os.path.join(root, path)))


def shares(jobs: t.Iterable[Job], count: int) -> list[list[str]]:
    """Deal *jobs* out to *count* processes, so that all take about as long; each in the order of paths."""
    heap = [(0, number) for number in range(count)]
    dealt: list[list[str]] = [[] for _number in range(count)]
    for path, size in sorted(jobs, key=lambda job: (-job[1], job[0])):
        load, number = heap[0]
        heapq.heapreplace(heap, (load + size + _OPENING, number))
        dealt[number].append(path)
    return [sorted(share) for share in dealt if share]


def processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def digest_of(path: str) -> str | None:
    """Return the sha256 (hex) of the file at *path*; None where it cannot be read."""
    return _hex(_digest(path))


def _hex(digest: bytes) -> str | None:
    return None if digest == _UNREADABLE else digest.hex()


def _digest(path: str) -> bytes:
    """Return the sha256 of the file at *path*, or what stands for one that cannot be read."""
    try:
        return bytes.fromhex(digested(read(path)).sha256)
    except OSError:
        return _UNREADABLE


def read(path: str) -> t.Iterator[bytes]:
    """Yield the bytes of the file at *path*; a link there leads nowhere, as others may have put it there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        yield from iter(lambda: file.read(_CHUNK), b"")


def digested(chunks: t.Iterable[bytes]) -> Digest:
    """Return what *chunks* are."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return Digest(digest.hexdigest(), size)
