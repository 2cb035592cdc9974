# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Generations that are not live: each whole, in the store, under its own name."""

from __future__ import annotations

import os

from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.store import generation_of, remove_tree
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import finish_switch


def homeless(deployment: Deployment) -> list[str]:
    """Return the trees beside the live one that do not lie under the name that is written in them."""
    directory = deployment.store.path("generations", "")
    if not os.path.isdir(directory):
        return []
    trees = [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    # A name that is taken was written there by another.
    return [tree for tree in trees if generation_of(tree) and not os.path.lexists(_home(deployment, tree))]


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
