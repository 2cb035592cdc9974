# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Look: what is on the host, and what shall be done about it. Nothing is written."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.adopting import is_adoptable
from ansible_collections.airgap.conda.plugins.module_utils._host.bases import basis_of
from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import place_of
from ansible_collections.airgap.conda.plugins.module_utils._host.generations import is_unfinished, surplus
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.owning import brought_by
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import findings, is_there
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import Verified, verify
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Needs, parse_manifest
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    SHARE_COPY,
    VERIFY_QUICK,
    VERIFY_RECEIPT,
    Offer,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import (
    Damage,
    Found,
    Plan,
    Want,
    is_wanted,
    plan_absent,
    plan_present,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import preflight, room
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Mark


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
    #: Generations that are kept no more.
    surplus: t.Tuple[str, ...] = ()
    #: Why the whole archive cannot be sent; what it has may spare the host most of that.
    short: str = ""

    @property
    def actions(self) -> list[str]:
        """Return what is to be done, in sentences."""
        registering = [mark.sentence for mark in self.put] + [f"take away {mark.path}" for mark in self.take]
        removing = [f"remove generation {generation}, which is kept no more" for generation in self.surplus]
        return [*self.plan.actions, *registering, *removing]


def look(deployment: Deployment) -> View:
    """Return what is on the host and what shall be done."""
    deployment.store.check_owner()
    header = deployment.store.live()
    verified = verify_live(deployment, header)
    prefix, keeping = deployment.order.prefix, deployment.order.keeping
    brought = brought_by(prefix, verified.damage.unexpected)
    found = Found(
        os.path.lexists(prefix), header, verified.damage, is_adoptable(prefix), tuple(brought), verified.strange
    )
    if deployment.order.state == "absent":
        return _view_absent(deployment, found)
    offer = deployment.offer()
    if offer is None:
        wanted = " or ".join(sorted(deployment.order.offers))
        problem = f"there is no bundle for {deployment.facts.platform}, only for {wanted}"
        return View(found, Plan(), (), (), (problem,), None)
    want = deployment.want(offer, header)
    plan = plan_present(prefix, want, found, keeping)
    if plan.deploy:
        plan = plan._replace(generation=_usable(deployment, want))
    short = _short(deployment, offer, plan) if plan.deploy else ""
    wanted_here = deployment.wanted_marks() if plan.deploy else deployment.live_marks()
    return View(
        found,
        plan,
        tuple(mark for mark in wanted_here if plan.deploy or not is_there(mark)),
        tuple(deployment.registrar.surplus(wanted_here)),
        tuple(_findings(deployment, offer, plan, want, short)),
        verified.fresh_index,
        _is_unfinished(deployment, plan),
        () if plan.deploy else tuple(surplus(deployment)),
        short,
    )


def basis_for(deployment: Deployment, view: View) -> Basis:
    """Return what this host holds for the bundle that is wanted."""
    store, wanted = deployment.store, deployment.wanted_content
    header, damage = view.found.header, view.found.damage
    kept = set(store.recorded(wanted)).intersection(store.kept())
    if header is None or damage.missing or damage.modified or kept or not store.file_list(header.generation):
        return basis_of(store, wanted)
    # Nothing has to be read.
    return Basis(header.content_id)


def verify_live(deployment: Deployment, header: Header | None) -> Verified:
    """Compare what is live with its receipt, as deep as the order says."""
    if header is None:
        return Verified(Damage())
    order, offer = deployment.order, deployment.offer()
    stays = order.state == "present" and offer is not None and is_wanted(deployment.want(offer, header), header)
    # Nothing is removed or replaced unseen.
    depth = VERIFY_QUICK if not stays and order.verify == VERIFY_RECEIPT else order.verify
    return verify(deployment.store, order.prefix, header.generation, depth, deployment.registered())


def _usable(deployment: Deployment, want: Want) -> str:
    """Return a generation that is kept and just what is wanted, the newest of them; empty for none."""
    store = deployment.store
    for generation in reversed(store.kept()):
        # What cannot be read is of no use, and in nobody's way.
        with contextlib.suppress(BundleError):
            if is_wanted(want, store.header(generation)) and _is_intact(deployment, generation):
                return generation
    return ""


def _is_intact(deployment: Deployment, generation: str) -> bool:
    store = deployment.store
    return not any(verify(store, store.tree(generation), generation, VERIFY_QUICK).damage)


def _is_unfinished(deployment: Deployment, plan: Plan) -> bool:
    """Whether an interrupted run left a tree, a record, or a stream that nothing awaits."""
    store = deployment.store
    if is_unfinished(deployment) or store.orphans():
        return True
    with contextlib.suppress(FileNotFoundError):
        return not plan.deploy and bool(os.listdir(store.path("incoming", "")))
    return False


def _view_absent(deployment: Deployment, found: Found) -> View:
    prefix = deployment.order.prefix
    plan = plan_absent(prefix, found, deployment.store.kept(), deployment.order.keeping)
    if not plan.remove and deployment.store.exists:
        plan = Plan(remove=True, actions=(f"remove what is kept of {prefix}",))
    return View(found, plan, (), tuple(filter(is_there, deployment.registrar.recorded())), (), None)


def _findings(deployment: Deployment, offer: Offer, plan: Plan, want: Want, short: str) -> t.Iterator[str]:
    order, store = deployment.order, deployment.store
    yield from findings(order, deployment.scope, deployment.registrar.recorded())
    live = store.live()
    if live and live.generation in store.kept():
        tree = store.tree(live.generation)
        yield f"{order.prefix} and {tree} both say that they are generation {live.generation}; move one away by hand"
    if plan.deploy:
        if not plan.generation:
            yield from deployment.origin.findings()
        payload = 0 if short else _to_send(deployment, offer, plan)
        needs = _needs(deployment, offer, plan)
        yield from preflight(needs, payload, order.prefix, deployment.facts, place_of(order.envs_dir))
        if os.geteuid() != 0 and (want.uid, want.gid) != (os.geteuid(), os.getegid()):
            yield f"{order.prefix} shall belong to another than this user, which takes root; use become"


def _short(deployment: Deployment, offer: Offer, plan: Plan) -> str:
    """Return why the whole of *offer* cannot be sent to a host that may do with less; empty where it can, or must."""
    if offer.basis.base or deployment.store.live() is None or not deployment.origin.divisible:
        return ""
    needs, place = _needs(deployment, offer, plan), place_of(deployment.order.envs_dir)
    if room(needs, 0, place):
        return ""
    return "; ".join(room(needs, _to_send(deployment, offer, plan), place))


def _to_send(deployment: Deployment, offer: Offer, plan: Plan) -> int:
    """Return the bytes of *offer* that are not on this host and will be."""
    here = plan.generation or not deployment.origin.stored
    return 0 if here else offer.size - Incoming(deployment.store, offer).received


def _needs(deployment: Deployment, offer: Offer, plan: Plan) -> Needs:
    """Return what *offer* needs beside what it shares."""
    return offer.needs._replace(size=max(0, offer.needs.size - _shared(deployment, offer, plan)))


def _shared(deployment: Deployment, offer: Offer, plan: Plan) -> int:
    """Return how many bytes the new generation may share; what it will is known when its file list is here."""
    live = deployment.store.live()
    if plan.generation:
        return offer.needs.size
    if live is None or deployment.order.keeping.share == SHARE_COPY:
        return 0
    # Generation zero has no manifest, and shares nothing.
    with contextlib.suppress(FileNotFoundError, BundleError):
        where = f"the manifest of {live.generation}"
        return parse_manifest(deployment.store.manifest(live.generation), where).needs.size
    return 0
