# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""One environment on this host, as its order wants it: what looking and acting share."""

from __future__ import annotations

import contextlib
import functools
import grp
import json
import os
import pwd
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoders
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming, held
from ansible_collections.airgap.conda.plugins.module_utils._host.payload import Origin, Payload, Pushed, origin_of
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import Registrar, scope_of
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Offer, Order
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Want
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import HostFacts
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import LINK, Mark, Scope, wanted_marks

_LIBRARY = re.compile(r"python\d+\.\d+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Deployment:
    """One environment on this host, as its order wants it."""

    def __init__(self, order: Order, facts: HostFacts, progress: Progress) -> None:
        self.order = order
        self.facts = facts
        self.progress = progress
        #: Whether a delta turned out to lack what this host should have had.
        self.lost_base = False
        self.store = Store(order.envs_dir, order.name)
        self.registrar = Registrar(self.store, order.register)

    @functools.cached_property
    def scope(self) -> Scope:
        """Whose registration is made."""
        return scope_of(self.order)

    def offer(self) -> Offer | None:
        """Return the bundle for this host: that of its platform, or the only one there is."""
        offers = self.order.offers
        return next(iter(offers.values())) if len(offers) == 1 else offers.get(self.facts.platform)

    @functools.cached_property
    def origin(self) -> Origin:
        """Whence the bundle for this host comes."""
        offer = self.offer()
        return origin_of(self.order.source, offer) if offer else Pushed()

    def payload(self, offer: Offer) -> Payload:
        """Return the pieces of *offer*, as far as they are here or this host can bring them here."""
        return self.origin.take(Incoming(self.store, offer), self.progress)

    @property
    def wanted_content(self) -> str:
        """Content id that shall be live, empty for none."""
        offer = self.offer() if self.order.state == "present" else None
        return offer.content_id if offer else ""

    def want(self, offer: Offer, header: Header | None) -> Want:
        """Return what shall be live, where *header* is of what is live."""
        uid, gid = (header.uid, header.gid) if header else self._owner()
        if self.order.owner:
            account = _account(self.order.owner)
            uid, gid = account.pw_uid, account.pw_gid
        if self.order.group:
            gid = _group(self.order.group)
        return Want(offer.content_id, self.order.bytecode, uid, gid)

    def _owner(self) -> tuple[int, int]:
        """Return who has what is at the prefix and is not ours, or else this user."""
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(self.order.prefix)
            return status.st_uid, status.st_gid
        return os.geteuid(), os.getegid()

    def wanted_marks(self) -> list[Mark]:
        """Return the marks of registration that shall be on this host."""
        if self.order.state != "present":
            return []
        return wanted_marks(self.order, self.scope, self._python_libraries(), self._variables())

    def live_marks(self) -> list[Mark]:
        """Return those of M(wanted_marks) that what is live has a use for.

        A program that an older generation lacks, which was gone back to, is offered to nobody.
        """
        return [mark for mark in self.wanted_marks() if mark.kind != LINK or os.path.lexists(mark.text)]

    def register(self) -> None:
        """Register what is live, and take away what is not wanted any more."""
        self.registrar.apply(self.live_marks())

    def registered(self) -> set[str]:
        """Return the paths below the prefix that registration put there, or will."""
        marks = [*self.registrar.recorded(), *self.wanted_marks()]
        return {os.path.relpath(mark.path, self.order.prefix) for mark in marks}

    def _python_libraries(self) -> list[str]:
        if not self.order.register.frozen:
            return []
        with contextlib.suppress(FileNotFoundError):
            names = sorted(os.listdir(os.path.join(self.order.prefix, "lib")))
            return [f"lib/{name}" for name in names if _LIBRARY.fullmatch(name)]
        return []

    def _variables(self) -> dict[str, str]:
        """Return what conda sets when it activates the environment, which works without conda too."""
        if not (self.order.register.profile or self.order.register.kernel):
            return {}
        # Others write this file; what they damage sets nothing.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            with open(os.path.join(self.order.prefix, "conda-meta", "state"), encoding="utf-8") as file:
                found = json.load(file).get("env_vars", {})
            return {name: str(value) for name, value in found.items() if _VARIABLE.fullmatch(name)}
        return {}

    def awaited(self, basis: Basis, short: str) -> dict[str, t.Any]:
        """Return what must be sent: of which offer, from which byte on, in which encoding, and on what *basis*.

        *short* is why it cannot be the whole, if so.
        """
        offer = self.offer()
        if offer is None:
            return {}
        found = decoders()
        received = Incoming(self.store, offer).received if offer.codec in found else 0
        return {
            "prefix": self.order.prefix,
            "stream": offer.stream,
            "offset": received,
            "decoders": found,
            **(Basis() if self.lost_base and basis == offer.basis else basis)._asdict(),
            "held": held(self.store),
            "short": f"{self.order.name}: {short}" if short else "",
        }


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        raise DeployError(f"env_deploy_owner names {name}, who has no account on this host") from None


def _group(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise DeployError(f"env_deploy_group names {name}, which is no group of this host") from None
