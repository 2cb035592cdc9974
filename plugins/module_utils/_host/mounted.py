# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""A bundle in a directory of this host (a stick, a share, an image): read where it is, with no copy of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.joined import joined
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import BUNDLES_NAME
from ansible_collections.airgap.conda.plugins.module_utils._model.medium import parts_among
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Offer, Source


class Mounted:
    """The pieces of one offer, as files. The archive is judged while it is staged, by the file list."""

    complete = True
    stored = False
    divisible = False

    def __init__(self, source: Source, offer: Offer) -> None:
        self._offer = offer
        self._directory = _found(source.path, offer.label)

    def findings(self) -> t.Iterator[str]:
        """Yield why the bundle cannot be taken from here, as far as can be told without reading it."""
        label = self._offer.label
        for kind, piece in self._offer.pieces.items():
            path = self._path(kind)
            try:
                size = sum(os.stat(each).st_size for each in self._parts(kind))
            except OSError as error:
                yield f"{path} cannot be read ({error.strerror}); put {label} there (env_deploy_source_path)"
                # The others would say the same.
                return
            if size != piece.size:
                yield f"{path} has {size} bytes, the controller's {kind} {piece.size}; put {label} there again"

    def take(self, incoming: Incoming, progress: Progress) -> Mounted:
        """Return itself: nothing is brought anywhere."""
        self._incoming = incoming
        return self

    def forget(self) -> None:
        """Remove what another source had brought; the files are not ours."""
        self._incoming.forget()

    def piece(self, kind: str) -> bytes:
        """Return the whole of a small piece; C(DeployError) unless its digest is the offered one."""
        with self.open(kind) as file:
            data = file.read(self._offer.pieces[kind].size + 1)
        if hashlib.sha256(data).hexdigest() != self._offer.pieces[kind].sha256:
            raise DeployError(f"{self._path(kind)} is not the one the controller offers; copy the bundle there again")
        return data

    def open(self, kind: str) -> t.BinaryIO:
        """Return the file of the piece *kind*, which is the caller's to close."""
        return joined(self._parts(kind))

    def _parts(self, kind: str) -> list[str]:
        """Return the paths of what the file of the piece *kind* is in: itself, or parts, as a medium has it."""
        whole = self._path(kind)
        if not os.path.exists(whole):
            with contextlib.suppress(OSError):
                names = parts_among(os.listdir(self._directory), os.path.basename(whole))
                return [os.path.join(self._directory, name) for name in names] or [whole]
        return [whole]

    def _path(self, kind: str) -> str:
        return os.path.join(self._directory, self._offer.pieces[kind].file)


def _found(top: str, label: str) -> str:
    """Return where bundle *label* is: in a directory of its name below *top*, as on a medium or not; else *top*."""
    below = (os.path.join(top, label), os.path.join(top, BUNDLES_NAME, label))
    return next(filter(os.path.isdir, below), top)
