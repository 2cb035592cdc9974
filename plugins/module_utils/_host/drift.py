# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Drift: how each environment of this host differs from its receipt, and from what the inventory asks for.

Nothing is changed. A run that may write refreshes stat indexes, so that the next one reads less.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import host_facts
from ansible_collections.airgap.conda.plugins.module_utils._host.owning import claims_of
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import packages_in
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import is_there, scope_of
from ansible_collections.airgap.conda.plugins.module_utils._host.store import generation_of
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import Examined, examine
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.explaining import Explained, explain
from ansible_collections.airgap.conda.plugins.module_utils._model.findings import (
    DRIFT,
    UNCHECKED,
    Finding,
    Sorted,
    printable,
    sort_out,
    status_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import parse_order
from ansible_collections.airgap.conda.plugins.module_utils._model.ownership import Ownership
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import (
    DIRECTORY,
    FILE,
    LINE,
    LINK,
    Mark,
    Scope,
)

Fields = t.Mapping[str, t.Any]
Row = t.Dict[str, t.Any]


def inspect(environments: t.Iterable[Fields], ignore: t.Sequence[str], may_write: bool, progress: Progress) -> Row:
    """Return the module's result: each environment with its findings, and one word for the host."""
    facts = host_facts()
    rows = []
    for fields in environments:
        progress.say(f"looking at {fields['name']}")
        # Without a word about registration, it is compared with what was put.
        asked = fields.get("register") is not None
        rows.append(_row(Deployment(parse_order(fields), facts, progress), asked, ignore, may_write))
    statuses = [row["status"] for row in rows]
    return {
        "status": status_of(DRIFT in statuses, UNCHECKED in statuses),
        "checked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environments": rows,
    }


class _Look(t.NamedTuple):
    """What was seen of one environment."""

    header: t.Optional[Header] = None
    findings: t.Tuple[Finding, ...] = ()
    fresh_index: t.Optional[bytes] = None
    #: Path, or empty for all of it, and why it could not be checked.
    unchecked: t.Tuple[t.Tuple[str, str], ...] = ()


def _row(deployment: Deployment, asked: bool, ignore: t.Sequence[str], may_write: bool) -> Row:
    """Look at one environment; what keeps it from being looked at is told of it, and of no other."""
    began = time.monotonic()
    try:
        look = _look(deployment, asked)
        if may_write and look.header and look.fresh_index is not None:
            _refresh(deployment, look.header, look.fresh_index)
    except AirgapError as error:
        look = _Look(unchecked=(("", str(error)),))
    except OSError as error:
        look = _Look(unchecked=(("", f"{error.filename or deployment.order.prefix}: {error.strerror}"),))
    row = _told(deployment, look, sort_out(look.findings, ignore))
    return {**row, "seconds": round(time.monotonic() - began, 3)}


# --- looking ------------------------------------------------------------------------------------------------------


def _look(deployment: Deployment, asked: bool) -> _Look:
    order, store = deployment.order, deployment.store
    if store.busy:
        raise DeployError(f"another run works on {order.prefix}; look again later")
    header = store.live()
    findings = list(_of_environment(deployment, header))
    unchecked = list(_without_bundle(deployment))
    examined = Examined()
    if header is not None and order.state == "present":
        deployment.scope = _scope(deployment)
        registered = deployment.registered()
        examined = examine(store, order.prefix, header.generation, order.verify, registered)
        for finding, why in _of_registration(deployment, asked):
            if why:
                unchecked.append((finding.path, why))
            else:
                findings.append(finding)
        if generation_of(order.prefix) != header.generation or store.busy:
            raise DeployError(f"{order.prefix} was deployed to while it was looked at; look again")
    unchecked += examined.denied.items()
    return _Look(header, (*findings, *examined.findings), examined.fresh_index, tuple(unchecked))


def _of_environment(deployment: Deployment, header: t.Optional[Header]) -> t.Iterator[Finding]:
    """Yield what is to be said of the environment as a whole."""
    order = deployment.order
    exists = os.path.lexists(order.prefix)
    if order.state == "absent":
        if exists or deployment.store.exists:
            yield Finding("not-removed", detail=f"{order.prefix} is there, the inventory wants it absent")
        return
    if _is_interrupted(deployment):
        yield Finding("interrupted", detail=f"a deployment of {order.prefix} was interrupted; the next rollout ends it")
    if not exists:
        yield Finding("environment-absent", detail=f"nothing is at {order.prefix}")
    elif header is None:
        yield Finding("unknown-origin", detail=f"{order.prefix} has no receipt of airgap.conda")
    else:
        yield from _of_generation(deployment, header)


def _of_generation(deployment: Deployment, header: Header) -> t.Iterator[Finding]:
    offer, order = deployment.offer(), deployment.order
    if offer is None:
        return
    want = deployment.want(offer, header)
    if want.content_id != header.content_id:
        detail = f"{header.content_id[:12]} is live, the inventory asks for {want.content_id[:12]}"
        yield Finding("wrong-generation", detail=detail)
    if (want.uid, want.gid) != (header.uid, header.gid):
        detail = f"deployed for {header.uid}:{header.gid}, the inventory asks for {want.uid}:{want.gid}"
        yield Finding("other-settings", detail=detail)
    if order.bytecode not in (None, header.bytecode):
        was = "with" if header.bytecode else "without"
        yield Finding("other-settings", detail=f"deployed {was} bytecode, the inventory asks for the contrary")


def _is_interrupted(deployment: Deployment) -> bool:
    store = deployment.store
    if os.path.lexists(store.staging) or os.path.lexists(store.aside):
        return True
    with contextlib.suppress(FileNotFoundError):
        return bool(os.listdir(store.path("incoming", "")))
    return False


def _without_bundle(deployment: Deployment) -> t.Iterator[t.Tuple[str, str]]:
    offers = deployment.order.offers
    if offers and deployment.offer() is None:
        yield "", f"there is no bundle for {deployment.facts.platform}, only for {' or '.join(sorted(offers))}"


def _scope(deployment: Deployment) -> Scope:
    """Whose registration is looked at: that of the user who deployed, whoever looks."""
    # Who deployed may have no account any more.
    with contextlib.suppress(DeployError):
        return scope_of(deployment.order, os.stat(deployment.store.root).st_uid)
    return scope_of(deployment.order)


def _of_registration(deployment: Deployment, asked: bool) -> t.Iterator[t.Tuple[Finding, str]]:
    """Yield each difference, and, where it cannot be told whether there is one, why."""
    recorded = deployment.registrar.recorded()
    wanted = deployment.wanted_marks() if asked else recorded
    for mark in wanted:
        if not is_there(mark):
            yield _of_mark(mark)
    for mark in deployment.registrar.surplus(wanted):
        if is_there(mark):
            detail = f"{_named(mark)} is registered, the inventory does not ask for it"
            yield Finding("registration-surplus", mark.path, detail=detail), ""


def _of_mark(mark: Mark) -> t.Tuple[Finding, str]:
    altered = Finding("registration-altered", mark.path, detail=f"{_named(mark)} is not as it was registered")
    missing = Finding("registration-missing", mark.path, detail=f"{_named(mark)} is missing")
    try:
        os.lstat(mark.path)
        if mark.kind in (FILE, LINE):
            with open(mark.path, "rb"):
                pass
    except (FileNotFoundError, NotADirectoryError):
        return missing, ""
    except OSError as error:
        return missing, error.strerror or "cannot be read"
    return (missing, "") if mark.kind == LINE else (altered, "")


def _named(mark: Mark) -> str:
    if mark.kind == LINE:
        return f"the line for {mark.text} in {mark.path}"
    return {FILE: mark.path, LINK: f"the link {mark.path}", DIRECTORY: mark.path}[mark.kind]


def _refresh(deployment: Deployment, header: Header, index: bytes) -> None:
    """Note what was found intact, unless another run is at work or the store is not this user's."""
    store = deployment.store
    if os.access(store.path("index", ""), os.W_OK):
        with contextlib.suppress(AirgapError, OSError), store.locked(patience=0):
            if generation_of(store.prefix) == header.generation:
                store.write_index(header.generation, index)


# --- telling ------------------------------------------------------------------------------------------------------


def _told(deployment: Deployment, look: _Look, found: Sorted) -> Row:
    order, header = deployment.order, look.header
    unchecked = [*look.unchecked, *((finding.path, "Permission denied") for finding in found.unchecked)]
    explained = _explained(deployment, header, found.drift)
    return {
        "name": order.name,
        "prefix": order.prefix,
        "status": status_of(bool(found.drift), bool(unchecked)),
        "generation": header.generation if header else "",
        "content_id": header.content_id if header else "",
        "wanted": deployment.wanted_content,
        "deployed_at": header.created if header else "",
        "explanations": [printable(each.text) for each in explained.explanations],
        "findings": [_finding(each, explained.packages[each]) for each in found.drift],
        "benign": [_finding(each, "") for each in found.benign],
        "unchecked": [{"path": printable(path), "reason": printable(why)} for path, why in unchecked],
        "packages": _packages(deployment, look),
    }


def _explained(deployment: Deployment, header: t.Optional[Header], drift: t.Sequence[Finding]) -> Explained:
    if header is None or not drift:
        return explain(drift, Ownership(()), ())
    items = deployment.store.receipt(header.generation).items.values()
    noted = {item.path: item.package for item in items if not item.derived}
    ownership = Ownership(claims_of(deployment.order.prefix), noted)
    return explain(drift, ownership, map(Package.from_json, packages_in(deployment.store, header.generation)))


def _finding(finding: Finding, package: str) -> t.Dict[str, str]:
    told = (finding.kind, finding.path, package, finding.detail)
    return dict(zip(("kind", "path", "package", "detail"), map(printable, told)))


def _packages(deployment: Deployment, look: _Look) -> list[t.Dict[str, str]]:
    """Return the packages of what is live, where those of what is asked for are others."""
    wrong = any(finding.kind == "wrong-generation" for finding in look.findings)
    return packages_in(deployment.store, look.header.generation) if look.header and wrong else []
