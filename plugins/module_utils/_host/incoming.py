# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What arrives: the parts of a bundle's pieces, verified and appended to one stream, and the pieces read from it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store, write_all
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import STREAM_NAME, Offer

_CHUNK = 1 << 20


def held(store: Store) -> dict[str, int]:
    """Return the bytes that have arrived of each stream, by its name."""
    with contextlib.suppress(FileNotFoundError), os.scandir(store.path("incoming", "")) as listing:
        return {item.name: item.stat().st_size for item in listing}
    return {}


class Incoming:
    """The stream of one offer: its pieces one after the other, as far as they have arrived."""

    def __init__(self, store: Store, offer: Offer) -> None:
        self._offer = offer
        self._path = store.path("incoming", offer.stream[:STREAM_NAME])

    @property
    def received(self) -> int:
        """Bytes that have arrived and were verified."""
        return os.path.getsize(self._path) if os.path.exists(self._path) else 0

    @property
    def complete(self) -> bool:
        """Whether all pieces are here."""
        return self.received == self._offer.size

    def append(self, part: str, sha256: str) -> None:
        """Append the file *part*, which continues the stream; C(DeployError) unless it is what was sent."""
        digest, received = hashlib.sha256(), self.received
        with open(part, "rb", buffering=0) as source, open(self._path, "ab", buffering=0) as stream:
            try:
                for chunk in iter(lambda: source.read(_CHUNK), b""):
                    digest.update(chunk)
                    write_all(stream.fileno(), chunk)
                if digest.hexdigest() != sha256:
                    raise DeployError("a part was damaged on its way to this host; run again")
            except BaseException:
                stream.truncate(received)
                raise

    def extend(self, data: bytes) -> None:
        """Append *data*, which is verified by its piece's digest in the end."""
        with open(self._path, "ab", buffering=0) as stream:
            write_all(stream.fileno(), data)

    def chunks(self, offset: int) -> t.Iterator[bytes]:
        """Yield what has arrived from *offset* on."""
        if self.received > offset:
            with open(self._path, "rb", buffering=0) as stream:
                stream.seek(offset)
                yield from iter(lambda: stream.read(_CHUNK), b"")

    def truncate(self, size: int) -> None:
        """Take back all but the first *size* bytes."""
        os.truncate(self._path, size)

    def forget(self) -> None:
        """Remove what has arrived, of this and of every other bundle."""
        directory = os.path.dirname(self._path)
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))

    def open(self, kind: str) -> t.BinaryIO:
        """Return the stream, standing at the beginning of the piece *kind*."""
        offset = 0
        for name, piece in self._offer.pieces.items():
            if name == kind:
                break
            offset += piece.size
        file = open(self._path, "rb", buffering=0)  # noqa: SIM115  # the caller's to close
        file.seek(offset)
        return t.cast(t.BinaryIO, file)

    def piece(self, kind: str) -> bytes:
        """Return the whole of a small piece; C(DeployError) unless its digest is the offered one."""
        expected = self._offer.pieces[kind]
        with self.open(kind) as file:
            data = file.read(expected.size)
        if hashlib.sha256(data).hexdigest() != expected.sha256:
            self.forget()
            raise DeployError(f"the {kind} of {self._offer.content_id[:12]} is damaged on this host; run again")
        return data
