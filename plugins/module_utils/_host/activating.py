# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Activate: a generation that lies whole in the store becomes live, known and healthy, or nothing changes."""

from __future__ import annotations

import os

from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.generations import bring_home, drop_failed
from ansible_collections.airgap.conda.plugins.module_utils._host.health import check_before, check_health
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import (
    is_recorded,
    keep_health,
    record_switch,
    switches_until,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import switch
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import FOUND


def activate(deployment: Deployment, generation: str) -> None:
    """Make *generation* live in the place of what is, unless it is not healthy. The store is locked."""
    # For who comes back to it.
    keep_health(deployment.store, generation, deployment.order.health)
    deployment.progress.say("checking health")
    if _check_before(deployment, generation):
        make_live(deployment, generation)
        return
    before = _switch(deployment, generation)
    _check_after(deployment, generation, before)
    _record(deployment, generation, before)


def make_live(deployment: Deployment, generation: str) -> None:
    """Make *generation* live in the place of what is, whatever its health is. The store is locked."""
    before = _switch(deployment, generation)
    _record(deployment, generation, before)


def _record(deployment: Deployment, generation: str, before: str) -> None:
    """Write the last that a run writes: what is not recorded is not finished."""
    deployment.store.mark_failed(generation, "")
    record_switch(deployment.store, before, generation, deployment.order.how, deployment.order.by)


def _check_before(deployment: Deployment, generation: str) -> bool:
    """Check the health of what is to be live, where the host allows it; False where it has to be live for that."""
    store = deployment.store
    try:
        return check_before(store.tree(generation), deployment.order.prefix, deployment.order.health)
    except DeployError as error:
        store.mark_failed(generation, str(error))
        drop_failed(deployment, generation)
        raise DeployError(
            f"{error}; nothing was switched, and what failed is kept for inspection at {store.tree(generation)}"
        ) from None


def _check_after(deployment: Deployment, generation: str, before: str) -> None:
    """Check the health of what is live now; where it fails, what was live *before* is so again."""
    try:
        check_health(deployment.order.prefix, deployment.order.health)
    except DeployError as error:
        raise _took_back(deployment, generation, before, error) from None


def confirm(deployment: Deployment) -> None:
    """Check and record a switch that an interrupted run did not; where it is not healthy, it is taken back."""
    store, header = deployment.store, deployment.store.live()
    live = header.generation if header else ""
    if is_recorded(store, live):
        return
    before = switches_until(store, live)[-1].before
    try:
        check_health(deployment.order.prefix, deployment.order.health)
    except DeployError as error:
        if before not in store.kept():
            raise
        raise _took_back(deployment, live, before, error) from None
    store.mark_failed(live, "")
    record_switch(store, before, live, FOUND, "")


def _switch(deployment: Deployment, generation: str) -> str:
    """Make *generation* live and register it; return what was live, empty for nothing."""
    store, header = deployment.store, deployment.store.live()
    deployment.progress.say("switching")
    switch(store.tree(generation), deployment.order.prefix, store.aside)
    bring_home(deployment)
    deployment.register()
    return header.generation if header else ""


def _took_back(deployment: Deployment, failed: str, before: str, error: DeployError) -> DeployError:
    """Undo the switch to *failed*: what was live *before* is live again, or nothing is; return what to say."""
    store, prefix = deployment.store, deployment.order.prefix
    if before in store.kept():
        _switch(deployment, before)
        now = f"generation {before} is live again"
    else:
        deployment.registrar.apply(())
        os.rename(prefix, store.tree(failed))
        now = "nothing is live"
    store.mark_failed(failed, str(error))
    drop_failed(deployment, failed)
    return DeployError(f"{error}; {now}, and what failed is kept for inspection at {store.tree(failed)}")
