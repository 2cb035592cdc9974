# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Look: what is on the host, and what shall be done about it. Nothing is written."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import place_of
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import findings, is_there
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import Verified, verify
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import VERIFY_QUICK, Offer
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import (
    Damage,
    Found,
    Plan,
    Want,
    plan_absent,
    plan_present,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import preflight
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

    @property
    def actions(self) -> list[str]:
        """Return what is to be done, in sentences."""
        registering = [mark.sentence for mark in self.put] + [f"take away {mark.path}" for mark in self.take]
        return [*self.plan.actions, *registering]


def look(deployment: Deployment) -> View:
    """Return what is on the host and what shall be done."""
    header = deployment.store.live()
    verified = verify_live(deployment, header)
    found = Found(os.path.lexists(deployment.order.prefix), header, verified.damage)
    if deployment.order.state == "absent":
        return _view_absent(deployment, found)
    offer = deployment.offer()
    if offer is None:
        wanted = " or ".join(sorted(deployment.order.offers))
        problem = f"there is no bundle for {deployment.facts.platform}, only for {wanted}"
        return View(found, Plan(), (), (), (problem,), None)
    want = deployment.want(offer, header)
    plan = plan_present(deployment.order.prefix, want, found)
    wanted_here = deployment.wanted_marks()
    return View(
        found,
        plan,
        tuple(mark for mark in wanted_here if plan.deploy or not is_there(mark)),
        tuple(deployment.registrar.surplus(wanted_here)),
        tuple(_findings(deployment, offer, plan, want)),
        verified.fresh_index,
        _is_unfinished(deployment, plan),
    )


def verify_live(deployment: Deployment, header: Header | None) -> Verified:
    """Compare what is live with its receipt, as deep as the order says."""
    if header is None:
        return Verified(Damage())
    order = deployment.order
    # Nothing is removed unseen.
    depth = VERIFY_QUICK if order.state == "absent" else order.verify
    return verify(deployment.store, header.generation, depth, deployment.registered())


def _is_unfinished(deployment: Deployment, plan: Plan) -> bool:
    """Whether there is a tree beside the live one, or a stream that nothing awaits."""
    store = deployment.store
    if os.path.lexists(store.staging) or os.path.lexists(store.aside):
        return True
    with contextlib.suppress(FileNotFoundError):
        return not plan.deploy and bool(os.listdir(store.path("incoming", "")))
    return False


def _view_absent(deployment: Deployment, found: Found) -> View:
    prefix = deployment.order.prefix
    plan = plan_absent(prefix, found)
    if not plan.remove and deployment.store.exists:
        plan = Plan(remove=True, actions=(f"remove what is kept of {prefix}",))
    return View(found, plan, (), tuple(filter(is_there, deployment.registrar.recorded())), (), None)


def _findings(deployment: Deployment, offer: Offer, plan: Plan, want: Want) -> t.Iterator[str]:
    order = deployment.order
    yield from findings(order, deployment.scope)
    if plan.deploy:
        missing = offer.size - Incoming(deployment.store, offer).received if deployment.origin.stored else 0
        yield from deployment.origin.findings()
        yield from preflight(offer.needs, missing, order.prefix, deployment.facts, place_of(order.envs_dir))
        if os.geteuid() != 0 and (want.uid, want.gid) != (os.geteuid(), os.getegid()):
            yield f"{order.prefix} shall belong to another than this user, which takes root; use become"
