# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Act: bring an environment to what looking found that it should be. The store is locked."""

from __future__ import annotations

import os

from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.health import check_health
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.looking import View, verify_live
from ansible_collections.airgap.conda.plugins.module_utils._host.making import make_generation
from ansible_collections.airgap.conda.plugins.module_utils._host.payload import Payload
from ansible_collections.airgap.conda.plugins.module_utils._host.store import generation_of, number_of, remove_tree
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import finish_switch, switch, sync
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Offer
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Found
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header


def recover(deployment: Deployment) -> list[str]:
    """Finish or clear what an interrupted run left; return what was found. The store is locked."""
    said = finish_switch(deployment.store.staging, deployment.order.prefix, deployment.store.aside)
    sentences = [said] if said else []
    if os.path.lexists(deployment.store.staging):
        sentences.append(_put_aside_or_remove(deployment))
    return sentences


def _put_aside_or_remove(deployment: Deployment) -> str:
    """Decide about a tree found in staging: one that was live before is kept, one never live is removed."""
    live = deployment.store.live()
    generation = generation_of(deployment.store.staging)
    if live and generation and number_of(generation) < number_of(live.generation):
        os.rename(deployment.store.staging, deployment.store.path("generations", generation))
        return f"generation {generation} was put aside, as an interrupted run had meant to"
    remove_tree(deployment.store.staging)
    if generation:
        deployment.store.forget(generation)
    return f"what an interrupted deployment of {deployment.order.prefix} left was removed"


def act(deployment: Deployment, view: View) -> bool:
    """Do what *view* says; False when the bundle's pieces must be sent first. The store is locked."""
    if view.plan.remove:
        _remove(deployment)
        return True
    offer = deployment.offer()
    if view.plan.deploy and offer is not None:
        incoming = deployment.payload(offer)
        if not incoming.complete:
            return False
        _deploy(deployment, offer, incoming, view)
        incoming.forget()
    else:
        if view.put or view.take:
            deployment.registrar.apply(deployment.wanted_marks())
        if view.unfinished and offer is not None:
            # The run that switched may not have come as far as this.
            check_health(deployment.order.prefix, deployment.order.health)
            Incoming(deployment.store, offer).forget()
    _refresh_index(deployment, view)
    return True


def _deploy(deployment: Deployment, offer: Offer, incoming: Payload, view: View) -> None:
    try:
        want = deployment.want(offer, view.found.header)
        header = make_generation(deployment, offer, want, incoming)
    except BaseException as error:
        remove_tree(deployment.store.staging)
        if isinstance(error, AirgapError):
            # What arrived is damaged, or would be refused again.
            incoming.forget()
        raise
    deployment.progress.say("switching")
    sync(deployment.store.root)
    switch(deployment.store.staging, deployment.order.prefix, deployment.store.aside)
    deployment.registrar.apply(deployment.wanted_marks())
    try:
        deployment.progress.say("checking health")
        check_health(deployment.order.prefix, deployment.order.health)
    except DeployError:
        _switch_back(deployment, header, view.found.header)
        raise
    _put_old_away(deployment, view.found)


def _switch_back(deployment: Deployment, failed: Header, old: Header | None) -> None:
    """Undo the switch: the old generation is live again, or nothing is, and the failed one is gone."""
    if old is None:
        deployment.registrar.apply(())
        os.rename(deployment.order.prefix, deployment.store.staging)
    else:
        switch(deployment.store.staging, deployment.order.prefix, deployment.store.aside)
    remove_tree(deployment.store.staging)
    deployment.store.forget(failed.generation)


def _put_old_away(deployment: Deployment, found: Found) -> None:
    """Keep the generation that was live; one that was only repaired is kept if it holds what is not ours."""
    old = found.header
    if old is None:
        return
    offer = deployment.offer()
    if offer is not None and old.content_id == offer.content_id and not found.damage.unexpected:
        remove_tree(deployment.store.staging)
        deployment.store.forget(old.generation)
    else:
        os.rename(deployment.store.staging, deployment.store.path("generations", old.generation))


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
    deployment.registrar.apply(())
    remove_tree(deployment.store.staging)
    if os.path.lexists(deployment.order.prefix):
        # In one step, as nothing half-removed may be found at the path.
        os.rename(deployment.order.prefix, deployment.store.staging)
    deployment.store.remove()
