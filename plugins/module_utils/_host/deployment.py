# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""One environment on this host: look, plan, act. Nothing is written while looking."""

from __future__ import annotations

import contextlib
import functools
import grp
import os
import pwd
import re
import time
import typing as t
import zlib

from ansible_collections.airgap.conda.plugins.module_utils._host.bytecode import compile_bytecode, renew_bytecode
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoders
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import place_of
from ansible_collections.airgap.conda.plugins.module_utils._host.health import check_health
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.payload import Origin, Payload, Pushed, origin_of
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import (
    Registrar,
    findings,
    is_there,
    scope_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._host.store import (
    Store,
    generation_of,
    number_of,
    remove_tree,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import recover, switch, sync
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import Verified, verify
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    EPOCH,
    GENERATION_MARKER,
    content_id_of,
    parse_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    ARCHIVE_PIECE,
    FILES_PIECE,
    MANIFEST_PIECE,
    VERIFY_QUICK,
    Offer,
    Order,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import (
    Damage,
    Found,
    Plan,
    Want,
    plan_absent,
    plan_present,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import HostFacts, preflight
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Mark, Scope, wanted_marks

_LIBRARY = re.compile(r"python\d+\.\d+")


class View(t.NamedTuple):
    """What looking found and planning decided."""

    found: Found
    plan: Plan
    #: Marks of registration to put, and to take away.
    put: t.Tuple[Mark, ...]
    take: t.Tuple[Mark, ...]
    #: What keeps the host from taking the environment.
    findings: t.Tuple[str, ...]
    fresh_index: t.Optional[bytes]
    #: Whether an interrupted run left something to be ended.
    unfinished: bool = False

    @property
    def actions(self) -> list[str]:
        """Return what is to be done, in sentences."""
        registering = [mark.sentence for mark in self.put] + [f"take away {mark.path}" for mark in self.take]
        return [*self.plan.actions, *registering]


class Deployment:
    """Brings one environment to what its order says."""

    def __init__(self, order: Order, facts: HostFacts, progress: Progress) -> None:
        self.order = order
        self.store = Store(order.envs_dir, order.name)
        self._facts = facts
        self._progress = progress
        self._registrar = Registrar(self.store)

    @functools.cached_property
    def _scope(self) -> Scope:
        return scope_of(self.order)

    # --- looking --------------------------------------------------------------------------------------------------

    def look(self) -> View:
        """Return what is on the host and what shall be done."""
        header = self.store.live()
        verified = self._verify(header)
        found = Found(os.path.lexists(self.order.prefix), header, verified.damage)
        if self.order.state == "absent":
            return self._view_absent(found)
        offer = self.offer()
        if offer is None:
            wanted = " or ".join(sorted(self.order.offers))
            problem = f"there is no bundle for {self._facts.platform}, only for {wanted}"
            return View(found, Plan(), (), (), (problem,), None)
        want = self._want(offer, header)
        plan = plan_present(self.order.prefix, want, found)
        wanted_here = self._wanted()
        return View(
            found,
            plan,
            tuple(mark for mark in wanted_here if plan.deploy or not is_there(mark)),
            tuple(self._registrar.surplus(wanted_here)),
            tuple(self._findings(offer, plan, want)),
            verified.fresh_index,
            self._is_unfinished(plan),
        )

    def _is_unfinished(self, plan: Plan) -> bool:
        """Whether there is a tree beside the live one, or a stream that nothing awaits."""
        if os.path.lexists(self.store.staging) or os.path.lexists(self._aside):
            return True
        with contextlib.suppress(FileNotFoundError):
            return not plan.deploy and bool(os.listdir(self.store.path("incoming", "")))
        return False

    def _view_absent(self, found: Found) -> View:
        plan = plan_absent(self.order.prefix, found)
        if not plan.remove and self.store.exists:
            plan = Plan(remove=True, actions=(f"remove what is kept of {self.order.prefix}",))
        return View(found, plan, (), tuple(filter(is_there, self._registrar.recorded())), (), None)

    def _verify(self, header: Header | None) -> Verified:
        if header is None:
            return Verified(Damage())
        marks = [*self._registrar.recorded(), *self._wanted()]
        registered = {os.path.relpath(mark.path, self.order.prefix) for mark in marks}
        # Nothing is removed unseen.
        depth = VERIFY_QUICK if self.order.state == "absent" else self.order.verify
        return verify(self.store, header.generation, depth, registered)

    def _wanted(self) -> list[Mark]:
        return wanted_marks(self.order, self._scope, self._python_libraries()) if self.order.state == "present" else []

    def _python_libraries(self) -> list[str]:
        if not self.order.register.frozen:
            return []
        with contextlib.suppress(FileNotFoundError):
            names = sorted(os.listdir(os.path.join(self.order.prefix, "lib")))
            return [f"lib/{name}" for name in names if _LIBRARY.fullmatch(name)]
        return []

    def offer(self) -> Offer | None:
        """Return the bundle for this host: that of its platform, or the only one there is."""
        offers = self.order.offers
        return next(iter(offers.values())) if len(offers) == 1 else offers.get(self._facts.platform)

    @property
    def wanted_content(self) -> str:
        """Content id that shall be live, empty for none."""
        offer = self.offer() if self.order.state == "present" else None
        return offer.content_id if offer else ""

    def _want(self, offer: Offer, header: Header | None) -> Want:
        uid = header.uid if header else os.geteuid()
        gid = header.gid if header else os.getegid()
        if self.order.owner:
            account = _account(self.order.owner)
            uid, gid = account.pw_uid, account.pw_gid
        if self.order.group:
            gid = _group(self.order.group)
        return Want(offer.content_id, self.order.bytecode, uid, gid)

    def _findings(self, offer: Offer, plan: Plan, want: Want) -> t.Iterator[str]:
        yield from findings(self.order, self._scope)
        if plan.deploy:
            missing = offer.size - Incoming(self.store, offer).received if self._origin.stored else 0
            yield from self._origin.findings()
            yield from preflight(offer.needs, missing, self.order.prefix, self._facts, place_of(self.order.envs_dir))
            if os.geteuid() != 0 and (want.uid, want.gid) != (os.geteuid(), os.getegid()):
                yield f"{self.order.prefix} shall belong to another than this user, which takes root; use become"

    # --- acting ---------------------------------------------------------------------------------------------------

    def recover(self) -> list[str]:
        """Finish or clear what an interrupted run left; return what was found. The store is locked."""
        said = recover(self.store.staging, self.order.prefix, self._aside)
        sentences = [said] if said else []
        if os.path.lexists(self.store.staging):
            sentences.append(self._put_aside_or_remove())
        return sentences

    @property
    def _aside(self) -> str:
        return self.store.path("generations", "aside")

    def _put_aside_or_remove(self) -> str:
        """Decide about a tree found in staging: one that was live before is kept, one never live is removed."""
        live = self.store.live()
        generation = generation_of(self.store.staging)
        if live and generation and number_of(generation) < number_of(live.generation):
            os.rename(self.store.staging, self.store.path("generations", generation))
            return f"generation {generation} was put aside, as an interrupted run had meant to"
        remove_tree(self.store.staging)
        if generation:
            self.store.forget(generation)
        return f"what an interrupted deployment of {self.order.prefix} left was removed"

    def act(self, view: View) -> bool:
        """Do what *view* says; False when the bundle's pieces must be sent first. The store is locked."""
        if view.plan.remove:
            self._remove()
            return True
        offer = self.offer()
        if view.plan.deploy and offer is not None:
            payload = self._origin.take(Incoming(self.store, offer), self._progress)
            if not payload.complete:
                return False
            self._deploy(offer, payload, view)
            Incoming(self.store, offer).forget()
        else:
            if view.put or view.take:
                self._registrar.apply(self._wanted())
            if view.unfinished and offer is not None:
                # The run that switched may not have come as far as this.
                check_health(self.order.prefix, self.order.health)
                Incoming(self.store, offer).forget()
        self._refresh_index(view)
        return True

    @functools.cached_property
    def _origin(self) -> Origin:
        offer = self.offer()
        return origin_of(self.order.source, offer) if offer else Pushed()

    def awaited(self) -> dict[str, t.Any]:
        """Return what must be sent: of which offer, from which byte on, in which encoding."""
        offer = self.offer()
        if offer is None:
            return {}
        found = decoders()
        received = Incoming(self.store, offer).received if offer.codec in found else 0
        return {"stream": offer.stream, "offset": received, "decoders": found}

    def _deploy(self, offer: Offer, payload: Payload, view: View) -> None:
        try:
            header = self._stage(offer, payload, view)
        except BaseException as error:
            remove_tree(self.store.staging)
            if isinstance(error, AirgapError):
                # What arrived is damaged, or would be refused again.
                Incoming(self.store, offer).forget()
            raise
        self._progress.say("switching")
        sync(self.store.root)
        switch(self.store.staging, self.order.prefix, self._aside)
        self._registrar.apply(self._wanted())
        try:
            self._progress.say("checking health")
            check_health(self.order.prefix, self.order.health)
        except DeployError:
            self._switch_back(header, view.found.header)
            raise
        self._put_old_away(view.found)

    def _stage(self, offer: Offer, payload: Payload, view: View) -> Header:
        """Make the new tree in staging, its receipt and its index."""
        remove_tree(self.store.staging)
        want = self._want(offer, view.found.header)
        header = Header(
            generation=self.store.next_generation(offer.content_id),
            content_id=offer.content_id,
            name=self.order.name,
            prefix=self.order.prefix,
            bytecode=self.order.bytecode,
            uid=want.uid,
            gid=want.gid,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        entries = parse_files(self._file_list(offer, payload))
        staging = Staging(self.store.staging, self.order.prefix, want.uid, want.gid)
        with payload.open(ARCHIVE_PIECE) as archive:
            staging.extract(entries, offer.carriers, offer.codec, archive, self._progress)
        renew_bytecode(staging, self.store.staging, self.order.prefix, entries)
        staging.renew(entries)
        staging.add(GENERATION_MARKER, (header.generation + "\n").encode(), 0o644, EPOCH)
        if self.order.bytecode:
            self._progress.say("compiling bytecode")
            compile_bytecode(staging, self.store.staging, self.order.prefix)
        self.store.write_receipt(header, staging.items.values(), payload.piece(MANIFEST_PIECE))
        self.store.write_index(header.generation, stat_index(self.store.staging))
        return header

    @staticmethod
    def _file_list(offer: Offer, payload: Payload) -> bytes:
        try:
            files = zlib.decompress(payload.piece(FILES_PIECE), wbits=31)
        except zlib.error as error:
            raise DeployError(f"the file list is damaged ({error}); copy the bundle again") from None
        if content_id_of(files) != offer.content_id:
            raise DeployError("the file list is not that of the content id; the bundle is damaged, copy it again")
        return files

    def _switch_back(self, failed: Header, old: Header | None) -> None:
        """Undo the switch: the old generation is live again, or nothing is, and the failed one is gone."""
        if old is None:
            self._registrar.apply(())
            os.rename(self.order.prefix, self.store.staging)
        else:
            switch(self.store.staging, self.order.prefix, self._aside)
        remove_tree(self.store.staging)
        self.store.forget(failed.generation)

    def _put_old_away(self, found: Found) -> None:
        """Keep the generation that was live; one that was only repaired is kept if it holds what is not ours."""
        old = found.header
        if old is None:
            return
        offer = self.offer()
        if offer is not None and old.content_id == offer.content_id and not found.damage.unexpected:
            remove_tree(self.store.staging)
            self.store.forget(old.generation)
        else:
            os.rename(self.store.staging, self.store.path("generations", old.generation))

    def _refresh_index(self, view: View) -> None:
        """Note the stats of a tree that was found, or just made, intact."""
        header = self.store.live()
        if header is None:
            return
        index = view.fresh_index
        if view.plan.deploy or view.put or view.take:
            index = self._verify(header).fresh_index
        if index is not None:
            self.store.write_index(header.generation, index)

    def _remove(self) -> None:
        self._registrar.apply(())
        remove_tree(self.store.staging)
        if os.path.lexists(self.order.prefix):
            # In one step, as nothing half-removed may be found at the path.
            os.rename(self.order.prefix, self.store.staging)
        self.store.remove()


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
