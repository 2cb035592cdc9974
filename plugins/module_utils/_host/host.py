# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""All environments of one host, in one module execution: look at all, tell all findings, then act."""

from __future__ import annotations

import collections
import contextlib
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoders
from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import host_facts
from ansible_collections.airgap.conda.plugins.module_utils._host.generations import recover
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.looking import View, basis_for, look
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import packages_in
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Order, parse_order
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import LINE

Fields = t.Mapping[str, t.Any]


def reconcile(
    environments: t.Sequence[Fields],
    parts: t.Sequence[Fields],
    check_mode: bool,
    progress: Progress,
    locks: contextlib.ExitStack,
) -> dict[str, t.Any]:
    """Bring every environment to its order, as far as what has arrived allows; return the module's result.

    C(awaited) in the result says what must be sent before the rest can be done. Locks are taken only to act, and
    what was seen before is looked at again then.
    """
    facts = host_facts()
    deployments = [Deployment(order, facts, progress) for order in distinct(map(parse_order, environments))]
    views = dict(zip(deployments, look_at_all(deployments)))
    rows = {each: _row(each, view, packages_of(each, view)) for each, view in views.items()}
    working = [each for each, view in views.items() if _has_work(view)]
    if check_mode or not working:
        # Whether what is short of room can be done depends on what would be sent.
        return _result(rows.values(), [_awaited(each, view) for each, view in views.items() if view.short])
    # Each execution compiles what it imports, and most have nothing to do.
    from ansible_collections.airgap.conda.plugins.module_utils._host.acting import act, settle

    # Always in one order, so that two runs never wait for each other.
    for deployment in sorted(working, key=lambda each: each.store.root):
        locks.enter_context(deployment.store.locked())
    recovered = [recover(deployment) for deployment in working]
    accept(working, parts)
    before = dict(zip(working, look_at_all(working)))
    rows.update({each: _row(each, view, packages_of(each, view)) for each, view in before.items()})
    done = {each: act(each, view) for each, view in before.items()}
    for deployment, found in zip(working, recovered):
        rows[deployment].update(_now(settle(deployment)), recovered=found)
    return _result(rows.values(), [_awaited(each, before[each]) for each, finished in done.items() if not finished])


def distinct(orders: t.Iterable[Order]) -> list[Order]:
    """Return *orders*; C(DeployError) where two are for one prefix, as each would undo the other."""
    listed = list(orders)
    counted = collections.Counter(order.prefix for order in listed)
    twice = [prefix for prefix, times in counted.items() if times > 1]
    if twice:
        raise DeployError(f"two environments of this host are at {', '.join(twice)}; give one another name or envs_dir")
    return listed


def look_at_all(deployments: t.Sequence[Deployment]) -> list[View]:
    """Look at every environment; raise one C(DeployError) with all that was found against them."""
    views, problems = [], []
    for deployment in deployments:
        try:
            view = look(deployment)
            problems += [f"{deployment.order.name}: {finding}" for finding in view.findings]
            views.append(view)
        except AirgapError as error:
            problems.append(str(error))
    if not problems:
        problems = list(_contested(deployments))
    if problems:
        raise DeployError("; ".join(dict.fromkeys(problems)))
    return views


def _contested(deployments: t.Iterable[Deployment]) -> t.Iterator[str]:
    """Yield what two environments want in one place, each otherwise: each would undo the other's."""
    first: dict[str, tuple[str, str]] = {}
    for deployment in deployments:
        prefix = deployment.order.prefix
        for mark in deployment.wanted_marks():
            other, text = first.setdefault(mark.path, (prefix, mark.text))
            if mark.kind != LINE and mark.text != text:
                yield (
                    f"{mark.path} is wanted by {other} and, otherwise, by {prefix}; register one of the two,"
                    " or give it another name"
                )


def accept(deployments: t.Sequence[Deployment], parts: t.Sequence[Fields]) -> None:
    """Append what was sent to each stream that awaits it; what none does was foreseen wrongly, or sent by two."""
    streams = [
        (offer.stream, Incoming(deployment.store, offer))
        for deployment in deployments
        for offer in [deployment.offer() if deployment.order.state == "present" else None]
        if offer and offer.codec in decoders()
    ]
    for part in parts:
        for stream, incoming in streams:
            if stream == part["stream"] and incoming.received == part["offset"]:
                incoming.append(part["path"], part["sha256"])


def _awaited(deployment: Deployment, view: View) -> Fields:
    return deployment.awaited(basis_for(deployment, view), view.short)


def _has_work(view: View) -> bool:
    return bool(view.actions) or view.fresh_index is not None or view.unfinished


def _result(rows: t.Collection[dict[str, t.Any]], awaited: t.Sequence[Fields]) -> dict[str, t.Any]:
    return {
        "changed": any(row["changed"] for row in rows),
        "actions": [action for row in rows for action in row["actions"]],
        "environments": list(rows),
        "awaited": list(awaited),
    }


def _row(deployment: Deployment, view: View, packages: t.Sequence[Fields]) -> dict[str, t.Any]:
    return {
        "name": deployment.order.name,
        "prefix": deployment.order.prefix,
        "changed": bool(view.actions),
        "actions": view.actions,
        "recovered": [],
        "packages_before": list(packages),
        "deployed": view.plan.deploy or view.plan.remove,
        "wanted": deployment.wanted_content,
        **_now(view),
    }


def _now(view: View) -> dict[str, t.Any]:
    """Return what is live."""
    header = view.found.header
    return {
        "content_id": header.content_id if header else "",
        "generation": header.generation if header else "",
        "unexpected": sorted(view.found.damage.unexpected),
    }


def packages_of(deployment: Deployment, view: View) -> list[dict[str, t.Any]]:
    """Return the packages of what is live, where a difference is to be shown; else none."""
    header = view.found.header
    return packages_in(deployment.store, header.generation) if header and view.plan.actions else []
