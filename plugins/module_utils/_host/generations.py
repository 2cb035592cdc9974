# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Generations that are not live: each whole, in the store, under its own name."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.processes import running_from
from ansible_collections.airgap.conda.plugins.module_utils._host.quarantine import rescue
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import is_recorded, recorded_switches
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store, generation_of, remove_tree
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import finish_switch
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Touched
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import superfluous
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import number_of


def homeless(deployment: Deployment) -> list[str]:
    """Return the trees beside the live one that do not lie under the name that is written in them."""
    directory = deployment.store.path("generations", "")
    if not os.path.isdir(directory):
        return []
    trees = [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    # A name that is taken was written there by another.
    return [tree for tree in trees if generation_of(tree) and not os.path.lexists(_home(deployment, tree))]


def is_unfinished(deployment: Deployment) -> bool:
    """Whether an interrupted run left a tree, or a switch that is not recorded."""
    store = deployment.store
    if os.path.lexists(store.staging) or os.path.lexists(store.aside):
        return True
    return bool(homeless(deployment)) or not is_recorded(store, generation_of(store.prefix))


def bring_home(deployment: Deployment) -> list[str]:
    """Put trees that were live under their own names, without what registration put in them; return those names."""
    names = []
    for tree in homeless(deployment):
        deployment.registrar.strip(tree)
        home = _home(deployment, tree)
        os.rename(tree, home)
        names.append(os.path.basename(home))
    return names


def _home(deployment: Deployment, tree: str) -> str:
    return deployment.store.tree(generation_of(tree))


def recover(deployment: Deployment) -> list[str]:
    """Finish or clear what an interrupted run left; return what was found. The store is locked."""
    store, prefix = deployment.store, deployment.order.prefix
    said = finish_switch(prefix, store.aside)
    sentences = [said] if said else []
    sentences += [
        f"generation {name} was put aside, as an interrupted run had meant to" for name in bring_home(deployment)
    ]
    if os.path.lexists(store.staging):
        remove_tree(store.staging)
        sentences.append(f"what an interrupted deployment of {prefix} left was removed")
    for generation in store.orphans():
        store.forget(generation)
    return sentences


def surplus(deployment: Deployment) -> list[str]:
    """Return the generations that are kept for no more use, those in use by a process aside."""
    store, keeping = deployment.store, deployment.order.keeping
    names = superfluous(store.kept(), recorded_switches(store), generation_of(store.prefix), keeping.keep)
    return [name for name in names if keeping.collect_used or not running_from(store.tree(name))]


def drop_failed(deployment: Deployment, newest: str) -> None:
    """Remove the generations that failed their health check before *newest* did, as nobody will ask for them."""
    store = deployment.store
    failed = [name for name in store.kept() if name != newest and number_of(name) and store.failure(name)]
    collect(store, [name for name in failed if not running_from(store.tree(name))])


def collect(store: Store, generations: t.Iterable[str]) -> None:
    """Remove *generations*, which are kept, but what users put there; leave the indexes of those that share true."""
    touched = Touched()
    for generation in generations:
        rescue(store, generation)
        if os.path.lexists(store.tree(generation)):
            # In one step: no half of it may be found under its name.
            os.rename(store.tree(generation), store.staging)
        store.forget(generation)
        remove_tree(store.staging, touched)
    store.renew_indexes(touched)
