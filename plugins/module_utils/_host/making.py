# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Make: a new generation in staging, with its receipt and its stat index."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.bases import Base, Bases
from ansible_collections.airgap.conda.plugins.module_utils._host.bytecode import compile_bytecode, renew_bytecode
from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import place_of
from ansible_collections.airgap.conda.plugins.module_utils._host.owning import claims_of
from ansible_collections.airgap.conda.plugins.module_utils._host.payload import Payload
from ansible_collections.airgap.conda.plugins.module_utils._host.recording import now
from ansible_collections.airgap.conda.plugins.module_utils._host.sharing import Sharing
from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._host.store import remove_tree
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis, lacking
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BaseLostError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    EPOCH,
    GENERATION_MARKER,
    Entry,
    content_id_of,
    pack_files,
    parse_files,
    unpack_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.list_delta import patched_list
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    ARCHIVE_PIECE,
    FILES_PIECE,
    MANIFEST_PIECE,
    Offer,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.ownership import Ownership
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Want
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import check_room, shortage
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header

#: Level of compression of what stays here.
_FAST = 1


def make_generation(deployment: Deployment, offer: Offer, want: Want, incoming: Payload) -> Header:
    """Make the tree of *want* in staging, of what is here already and what has arrived, and record it."""
    order, store = deployment.order, deployment.store
    remove_tree(store.staging)
    staging = Staging(store.staging, order.prefix, want.uid, want.gid)
    try:
        header = _make(deployment, offer, staging, incoming)
    except BaseException:
        remove_tree(store.staging, staging.touched)
        with contextlib.suppress(OSError):
            store.renew_indexes(staging.touched)
        raise
    store.renew_indexes(staging.touched)
    return header


def _make(deployment: Deployment, offer: Offer, staging: Staging, incoming: Payload) -> Header:
    order, store = deployment.order, deployment.store
    giving = Bases(store, offer.basis.base or offer.content_id)
    files = _file_list(giving.first, offer, incoming.piece(FILES_PIECE))
    entries = parse_files(files, giving.first.lines if giving.first else {})
    if not entries:
        raise DeployError("the bundle holds no file at all; it is refused")
    check_room(entries, offer.needs)
    uid, gid = staging.owner
    header = Header(
        generation=store.next_generation(offer.content_id),
        content_id=offer.content_id,
        name=order.name,
        prefix=order.prefix,
        bytecode=order.bytecode,
        uid=uid,
        gid=gid,
        created=now(),
        by=order.by,
    )
    staging.lay_out(entries, _mode_of(order.prefix))
    settled = _share(deployment, offer, staging, entries, giving)
    _fill(deployment, offer, staging, incoming, entries)
    staging.add(GENERATION_MARKER, (header.generation + "\n").encode(), 0o644, EPOCH)
    if order.bytecode:
        deployment.progress.say("compiling bytecode")
        compile_bytecode(staging, store.staging, order.prefix, settled)
    staging.note_packages(Ownership(claims_of(store.staging)))
    store.write_receipt(header, staging.items.values(), incoming.piece(MANIFEST_PIECE), pack_files(files, _FAST))
    store.write_index(header.generation, stat_index(store.staging))
    return header


def _fill(
    deployment: Deployment, offer: Offer, staging: Staging, incoming: Payload, entries: t.Sequence[Entry]
) -> None:
    """Make those of *entries* that no generation gave, and what depends on others."""
    order, store = deployment.order, deployment.store
    own = [entry for entry in entries if entry.path not in staging.given]
    # What has arrived is here already, and only what is shared was not counted before.
    short = shortage(sum(entry.size for entry in own), place_of(order.envs_dir))
    if short:
        raise DeployError(short)
    if own:
        with incoming.open(ARCHIVE_PIECE) as archive:
            staging.extract(entries, offer.carriers, offer.codec, archive, deployment.progress)
    renew_bytecode(staging, store.staging, order.prefix, entries)
    staging.renew(entries)


def _share(
    deployment: Deployment, offer: Offer, staging: Staging, entries: t.Sequence[Entry], giving: Bases
) -> set[str]:
    """Make what generations give; C(BaseLostError) unless that and what a delta brings are all *entries*.

    Return the sources that need not be compiled.
    """
    share = deployment.order.keeping.share
    settled: set[str] = set()
    brought = _brought(offer.basis, giving.first, entries)
    wanted = {entry.path for entry in entries}
    for base in giving:
        deployment.progress.say(f"sharing with {base.header.generation}")
        sharing = Sharing(base, staging, share)
        sharing.give(entries, wanted)
        if base is giving.first and deployment.order.bytecode:
            settled = sharing.give_bytecode(entries)
        # Others are asked for nothing but what else would be lost.
        wanted -= brought | staging.given.keys()
        if not wanted:
            break
    for path in sorted(wanted - brought):
        raise BaseLostError(f"{path} is not here any more as the delta needs it; the whole archive is sent")
    return settled


def _brought(basis: Basis, first: Base | None, entries: t.Sequence[Entry]) -> set[str]:
    """Return the paths of *entries* that the archive brings."""
    if not basis.base:
        return {entry.path for entry in entries}
    if first is None or first.header.content_id != basis.base:
        return set()
    return {entry.path for entry in lacking(first.entries.values(), entries, basis.lost)}


def _mode_of(prefix: str) -> int:
    """Return who may enter the new tree: those who may enter what is there."""
    return stat.S_IMODE(os.lstat(prefix).st_mode) if os.path.isdir(prefix) else 0o755


def _file_list(base: Base | None, offer: Offer, piece: bytes) -> bytes:
    """Return the file list of *offer*: of *piece* alone, or of it and the list that the offer builds on."""
    if not offer.basis.base:
        files = unpack_files(piece)
        if content_id_of(files) != offer.content_id:
            raise DeployError("the file list is not that of the content id; the bundle is damaged, copy it again")
        return files
    known = base is not None and base.header.content_id == offer.basis.base
    files = patched_list(base.files, piece) if base and known else b""
    if content_id_of(files) != offer.content_id:
        raise BaseLostError(f"the file list of {offer.basis.base[:12]} is not here any more; the whole archive is sent")
    return files
