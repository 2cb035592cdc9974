# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Act: bring an environment to what looking found that it should be. The store is locked."""

from __future__ import annotations

import os

from ansible_collections.airgap.conda.plugins.module_utils._host.activating import activate, confirm
from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.looking import View, verify_live
from ansible_collections.airgap.conda.plugins.module_utils._host.making import make_generation
from ansible_collections.airgap.conda.plugins.module_utils._host.store import remove_tree
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import sync
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Offer
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import DEPLOY


def act(deployment: Deployment, view: View) -> bool:
    """Do what *view* says; False when the bundle's pieces must be sent first. The store is locked."""
    if view.plan.remove:
        _remove(deployment)
        return True
    offer = deployment.offer()
    if view.plan.deploy and offer is not None:
        if not _deploy(deployment, offer, view):
            return False
    else:
        if view.put or view.take:
            deployment.registrar.apply(deployment.wanted_marks())
        confirm(deployment)
    if offer is not None:
        Incoming(deployment.store, offer).forget()
    _refresh_index(deployment, view)
    return True


def _deploy(deployment: Deployment, offer: Offer, view: View) -> bool:
    """Make live what is wanted, of a generation that is kept or of what has arrived; False when that is not all."""
    generation = view.plan.generation
    if not generation:
        incoming = Incoming(deployment.store, offer)
        if not incoming.complete:
            return False
        generation = _make(deployment, offer, incoming, view)
    old = view.found.header
    repair = old is not None and old.content_id == offer.content_id
    activate(deployment, generation, DEPLOY)
    if old is not None and repair and not view.found.damage.unexpected:
        remove_tree(deployment.store.tree(old.generation))
        deployment.store.forget(old.generation)
    return True


def _make(deployment: Deployment, offer: Offer, incoming: Incoming, view: View) -> str:
    """Make a new generation of what has arrived and put it beside those that are kept; return its name."""
    store = deployment.store
    try:
        header = make_generation(deployment, offer, deployment.want(offer, view.found.header), incoming)
    except BaseException as error:
        remove_tree(store.staging)
        if isinstance(error, AirgapError):
            # What arrived is damaged, or would be refused again.
            incoming.forget()
        raise
    # Whatever lies there is whole, after a loss of power too.
    sync(store.root)
    os.rename(store.staging, store.tree(header.generation))
    incoming.forget()
    return header.generation


def _refresh_index(deployment: Deployment, view: View) -> None:
    """Note the stats of a tree that was found, or just made, intact."""
    header = deployment.store.live()
    if header is None:
        return
    index = view.fresh_index
    if view.plan.deploy or view.put or view.take:
        index = verify_live(deployment, header).fresh_index
    if index is not None:
        deployment.store.write_index(header.generation, index)


def _remove(deployment: Deployment) -> None:
    store = deployment.store
    deployment.registrar.apply(())
    remove_tree(store.staging)
    if os.path.lexists(store.prefix):
        # In one step, as nothing half-removed may be found at the path.
        os.rename(store.prefix, store.staging)
    store.remove()
