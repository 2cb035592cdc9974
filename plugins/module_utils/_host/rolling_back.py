# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Roll back: a generation that is kept becomes live again. Its tree is walked once, and nothing is sent.

One that is damaged is deployed anew from its bundle, where that is offered.
"""

from __future__ import annotations

import contextlib
import os
import sys
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.activating import activate, confirm, make_live
from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import host_facts
from ansible_collections.airgap.conda.plugins.module_utils._host.generations import is_unfinished, recover
from ansible_collections.airgap.conda.plugins.module_utils._host.host import reconcile
from ansible_collections.airgap.conda.plugins.module_utils._host.looking import verify_live
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import health_of, packages_in, switches_until
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import Registrar
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import verify
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.generations import Kept, choose
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    UNEXPECTED_KEEP,
    VERIFY_QUICK,
    parse_order,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import some
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import ROLLBACK

Fields = t.Dict[str, t.Any]


class Rollback:
    """What was asked for, and where it leads now."""

    def __init__(self, request: t.Mapping[str, t.Any], progress: Progress) -> None:
        order = parse_order({**request, "state": "present", "verify": VERIFY_QUICK, "bytecode": True})
        self._request = request
        self._progress = progress
        self._fresh_index: t.Optional[bytes] = None
        self.store = Store(order.envs_dir, order.name)
        self.choose()

    def choose(self) -> None:
        """Find the generation that is meant; C(DeployError) where there is none such."""
        self.store.check_owner()
        header = self.store.live()
        if header is None and os.path.lexists(self.store.prefix):
            raise DeployError(
                f"{self.store.prefix} exists and is no generation of airgap.conda; it is left as it is. Move it away,"
                " and run again"
            )
        self.live = header.generation if header else ""
        kept = [Kept(header.generation, header.content_id, live=True)] if header else []
        for generation in self.store.kept():
            content_id = self.store.header(generation).content_id
            kept.append(Kept(generation, content_id, failed=bool(self.store.failure(generation))))
        kept.sort(key=lambda each: each.generation)
        switches = switches_until(self.store, self.live)
        self.target = choose(self.store.prefix, self._request["to"] or "", kept, switches, self.force)
        self.deployment = Deployment(parse_order(self.order()), host_facts(), self._progress)

    @property
    def force(self) -> bool:
        """Whether neither its files nor its health matter."""
        return bool(self._request["force"])

    def order(self) -> Fields:
        """Return an order of what is meant: made as that generation was, and known to those who know what is live."""
        header = self.store.header(self.target.generation)
        offers = self._request.get("offers") or {}
        return {
            "name": self._request["name"],
            "envs_dir": self._request["envs_dir"],
            "state": "present",
            "offers": {key: offer for key, offer in offers.items() if offer["content_id"] == header.content_id},
            "owner": str(header.uid),
            "group": str(header.gid),
            "verify": VERIFY_QUICK,
            "bytecode": header.bytecode,
            "health": health_of(self.store, header.generation)._asdict(),
            "register": Registrar(self.store).record().register._asdict(),
            "by": self._request.get("by"),
            "how": ROLLBACK,
            # Who goes back wants nothing to go.
            "keep": sys.maxsize,
            "on_unexpected": UNEXPECTED_KEEP,
        }

    def damaged(self) -> list[str]:
        """Return what its tree lacks or holds otherwise; nothing where that does not matter."""
        generation = self.target.generation
        if self.target.live or self.force:
            return []
        verified = verify(self.store, self.store.tree(generation), generation, VERIFY_QUICK)
        self._fresh_index = verified.fresh_index
        return sorted((*verified.damage.missing, *verified.damage.modified))

    def anew(self, damaged: t.Sequence[str]) -> Fields:
        """Return an order that makes what is *damaged* anew; C(DeployError) where its bundle is not at hand."""
        order = self.order()
        if not order["offers"]:
            raise DeployError(
                f"generation {self.target.generation} of {self.store.prefix} is damaged: {some(damaged)};"
                f" name the bundle of {self.target.content_id[:12]} with env_rollback_bundle,"
                " or take it as it is with env_rollback_force"
            )
        return order

    def act(self) -> None:
        """Make it live, or end what an interrupted run began. The store is locked."""
        deployment = self.deployment
        if self._fresh_index is not None:
            self.store.write_index(self.target.generation, self._fresh_index)
        if self.target.live:
            deployment.register()
            confirm(deployment)
        elif self.force:
            make_live(deployment, self.target.generation)
        else:
            activate(deployment, self.target.generation)
        if any(mark.path.startswith(f"{self.store.prefix}/") for mark in deployment.wanted_marks()):
            self._refresh_index()

    def _refresh_index(self) -> None:
        """Note the stats of a tree into which registration put something."""
        header = self.store.live()
        index = verify_live(self.deployment, header).fresh_index
        if header is not None and index is not None:
            self.store.write_index(header.generation, index)


def roll_back(
    request: t.Mapping[str, t.Any],
    parts: t.Sequence[Fields],
    check_mode: bool,
    progress: Progress,
    locks: contextlib.ExitStack,
) -> Fields:
    """Make live what *request* names; return a result of one environment, as that of M(host.reconcile)."""
    rollback = Rollback(request, progress)
    if rollback.target.live and not is_unfinished(rollback.deployment):
        return _result(rollback, rollback.live, [])
    with contextlib.ExitStack() as held:
        recovered: list[str] = []
        if not check_mode:
            held.enter_context(rollback.store.locked())
            recovered = recover(rollback.deployment)
            rollback.choose()
        before = rollback.live
        damaged = rollback.damaged()
        if not damaged:
            if not check_mode:
                rollback.act()
            return _result(rollback, before, recovered)
    result = reconcile([rollback.anew(damaged)], parts, check_mode, progress, locks)
    for row in result["environments"]:
        row["packages_after"] = packages_in(rollback.store, rollback.target.generation)
    return result


def _result(rollback: Rollback, before: str, recovered: t.Sequence[str]) -> Fields:
    store, target = rollback.store, rollback.target
    header = store.live()
    changed = target.generation != before
    sentence = f"replace generation {before or 'none'} by {target.generation} at {store.prefix}"
    row = {
        "name": rollback.deployment.order.name,
        "prefix": store.prefix,
        "changed": changed,
        "actions": [sentence] if changed else [],
        "recovered": list(recovered),
        "packages_before": packages_in(store, before) if changed else [],
        "packages_after": packages_in(store, target.generation) if changed else [],
        "deployed": changed,
        "wanted": target.content_id,
        "content_id": header.content_id if header else "",
        "generation": header.generation if header else "",
        "unexpected": [],
    }
    return {"changed": changed, "actions": row["actions"], "environments": [row], "awaited": []}
