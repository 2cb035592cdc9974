# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Make: a new generation in staging, with its receipt and its stat index."""

from __future__ import annotations

import time
import zlib

from ansible_collections.airgap.conda.plugins.module_utils._host.bytecode import compile_bytecode, renew_bytecode
from ansible_collections.airgap.conda.plugins.module_utils._host.deployment import Deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.payload import Payload
from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._host.store import remove_tree
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    EPOCH,
    GENERATION_MARKER,
    content_id_of,
    parse_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    ARCHIVE_PIECE,
    FILES_PIECE,
    MANIFEST_PIECE,
    Offer,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Want
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header


def make_generation(deployment: Deployment, offer: Offer, want: Want, incoming: Payload) -> Header:
    """Make the tree of *want* in staging from what has arrived, and record it."""
    order, store, progress = deployment.order, deployment.store, deployment.progress
    remove_tree(store.staging)
    header = Header(
        generation=store.next_generation(offer.content_id),
        content_id=offer.content_id,
        name=order.name,
        prefix=order.prefix,
        bytecode=order.bytecode,
        uid=want.uid,
        gid=want.gid,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    entries = parse_files(_file_list(offer, incoming))
    staging = Staging(store.staging, order.prefix, want.uid, want.gid)
    with incoming.open(ARCHIVE_PIECE) as archive:
        staging.extract(entries, offer.carriers, offer.codec, archive, progress)
    renew_bytecode(staging, store.staging, order.prefix, entries)
    staging.renew(entries)
    staging.add(GENERATION_MARKER, (header.generation + "\n").encode(), 0o644, EPOCH)
    if order.bytecode:
        progress.say("compiling bytecode")
        compile_bytecode(staging, store.staging, order.prefix)
    store.write_receipt(header, staging.items.values(), incoming.piece(MANIFEST_PIECE))
    store.write_index(header.generation, stat_index(store.staging))
    return header


def _file_list(offer: Offer, incoming: Payload) -> bytes:
    try:
        files = zlib.decompress(incoming.piece(FILES_PIECE), wbits=31)
    except zlib.error as error:
        raise DeployError(f"the file list is damaged ({error}); copy the bundle again") from None
    if content_id_of(files) != offer.content_id:
        raise DeployError("the file list is not that of the content id; the bundle is damaged, copy it again")
    return files
