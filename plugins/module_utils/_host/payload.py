# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Whence a deployment takes the pieces of its bundle: what the controller pushed, a directory, or a web server."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoders
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    SOURCE_PATH,
    SOURCE_URL,
    Offer,
    Source,
)


class Payload(t.Protocol):
    """The pieces of one offer."""

    @property
    def complete(self) -> bool:
        """Whether all of them are here."""

    def piece(self, kind: str) -> bytes:
        """Return the whole of a small piece, verified."""

    def open(self, kind: str) -> t.BinaryIO:
        """Return a file that stands at the beginning of the piece *kind*."""

    def forget(self) -> None:
        """Remove what is kept of them on this host."""


class Origin(t.Protocol):
    """Whence pieces come."""

    #: Whether they are kept on this host until they are deployed, which takes room.
    stored: bool
    #: Whether a delta may come instead of the whole.
    divisible: bool

    def findings(self) -> t.Iterator[str]:
        """Yield why they cannot be had, as far as can be told without reading them."""

    def take(self, incoming: Incoming, progress: Progress) -> Payload:
        """Return them, as far as they are here or can be brought here by this host."""


class Pushed:
    """The controller, which sends what is awaited."""

    stored = True
    divisible = True

    def findings(self) -> t.Iterator[str]:
        """Yield nothing: what the controller offers it has."""
        yield from ()

    def take(self, incoming: Incoming, progress: Progress) -> Payload:
        """Return what has arrived."""
        return incoming


def origin_of(source: Source, offer: Offer) -> Origin:
    """Return whence *offer* comes: from *source*, unless only the controller has what this host can decode."""
    if not offer.derived and offer.codec in decoders():
        # What each imports takes a while, and no other host needs it.
        if source.type == SOURCE_PATH:
            from ansible_collections.airgap.conda.plugins.module_utils._host.mounted import Mounted

            return Mounted(source, offer)
        if source.type == SOURCE_URL:
            from ansible_collections.airgap.conda.plugins.module_utils._host.fetching import Site

            return Site(source, offer)
    return Pushed()
