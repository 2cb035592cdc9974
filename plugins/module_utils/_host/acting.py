# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Act: bring an environment to what looking found that it should be. The store is locked."""

from __future__ import annotations

import os

from ansible_collections.airgap.conda.plugins.module_utils._host.activating import activate, confirm
from ansible_collections.airgap.conda.plugins.module_utils._host.adopting import adopt
from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.generations import collect, surplus
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.looking import View, look
from ansible_collections.airgap.conda.plugins.module_utils._host.making import make_generation
from ansible_collections.airgap.conda.plugins.module_utils._host.payload import Payload
from ansible_collections.airgap.conda.plugins.module_utils._host.quarantine import discard, rescue
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import sync
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError, BaseLostError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import UNEXPECTED_REMOVE, Offer


def act(deployment: Deployment, view: View) -> bool:
    """Do what *view* says; False when the bundle's pieces must be sent first. The store is locked."""
    if view.plan.remove:
        _remove(deployment)
        return True
    offer = deployment.offer()
    # What vouches for the live tree now decides what that gives.
    keep_index(deployment, view)
    if view.plan.deploy and offer is not None:
        if not _deploy(deployment, offer, view):
            return False
    else:
        if view.put or view.take:
            deployment.register()
        confirm(deployment)
        collect(deployment.store, view.surplus)
    if offer is not None:
        Incoming(deployment.store, offer).forget()
    return True


def _deploy(deployment: Deployment, offer: Offer, view: View) -> bool:
    """Make live what is wanted, of a generation that is kept or of what has arrived; False when that is not all."""
    store, old, generation = deployment.store, view.found.header, view.plan.generation
    incoming: Payload = Incoming(store, offer)
    if not generation:
        incoming = deployment.payload(offer)
        if not incoming.complete:
            return False
    if view.plan.adopt:
        deployment.progress.say("recording what is there")
        old = adopt(store, deployment.order.by)
    if not generation:
        try:
            generation = _make(deployment, offer, incoming, view)
        except BaseLostError:
            deployment.lost_base = True
            return False
    activate(deployment, generation)
    if old and not view.plan.adopt and view.found.damage.unexpected:
        take_out = discard if deployment.order.keeping.on_unexpected == UNEXPECTED_REMOVE else rescue
        take_out(store, old.generation)
    collect(store, surplus(deployment))
    return True


def _make(deployment: Deployment, offer: Offer, incoming: Payload, view: View) -> str:
    """Make a new generation of what has arrived and put it beside those that are kept; return its name."""
    store = deployment.store
    try:
        header = make_generation(deployment, offer, deployment.want(offer, view.found.header), incoming)
    except AirgapError:
        # What arrived is damaged, or would be refused again.
        incoming.forget()
        raise
    # Whatever lies there is whole, after a loss of power too.
    sync(store.root)
    os.rename(store.staging, store.tree(header.generation))
    incoming.forget()
    return header.generation


def keep_index(deployment: Deployment, view: View) -> None:
    """Keep the stats of what was seen intact: as it was found, or just made and registered."""
    if view.found.header and view.fresh_index is not None:
        deployment.store.write_index(view.found.header.generation, view.fresh_index)


def settle(deployment: Deployment) -> View:
    """Return what is on the host when all is done, and keep the stats of it."""
    view = look(deployment)
    keep_index(deployment, view)
    return view


def _remove(deployment: Deployment) -> None:
    store = deployment.store
    deployment.registrar.apply(())
    live = store.live()
    if live:
        # In one step, as nothing half-removed may be found at the path.
        os.rename(store.prefix, store.tree(live.generation))
    if live and deployment.order.keeping.on_unexpected == UNEXPECTED_REMOVE:
        discard(store, live.generation)
    collect(store, store.kept())
    store.remove()
