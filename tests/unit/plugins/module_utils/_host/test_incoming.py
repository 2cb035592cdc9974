# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import resource
import signal
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Needs, Piece
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Offer
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import in_child

DATA = {"manifest": b"{}", "files": b"the file list", "archive": bytes(range(256)) * 20}
STREAM = b"".join(DATA.values())
PIECES = {kind: Piece(kind, len(data), hashlib.sha256(data).hexdigest()) for kind, data in DATA.items()}
ENCODED_PIECES = {**PIECES, "archive": PIECES["archive"]._replace(sha256="e" * 64)}
OTHER_PIECES = {**PIECES, "manifest": PIECES["manifest"]._replace(sha256="d" * 64)}
OFFER = Offer("c" * 64, Needs("linux-64", "", "", 255, 1, 1), PIECES, "zstd", ())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "envs"), "ml")
    store.create()
    return store


def part(tmp_path: Path, data: bytes) -> tuple[str, str]:
    """Return the path and the digest of a part."""
    path = tmp_path / "part"
    path.write_bytes(data)
    return str(path), hashlib.sha256(data).hexdigest()


def receive(incoming: Incoming, tmp_path: Path, size: int = 100) -> None:
    while not incoming.complete:
        incoming.append(*part(tmp_path, STREAM[incoming.received : incoming.received + size]))


def test_nothing_has_arrived_where_there_is_no_store(tmp_path: Path) -> None:
    incoming = Incoming(Store(str(tmp_path / "envs"), "ml"), OFFER)
    assert (incoming.received, incoming.complete) == (0, False)


@pytest.mark.parametrize("size", [1, 7, 100, len(STREAM), len(STREAM) + 5])
def test_parts_of_any_size_make_the_pieces(store: Store, tmp_path: Path, size: int) -> None:
    incoming = Incoming(store, OFFER)
    if size == 1:
        incoming.append(*part(tmp_path, STREAM[:-3]))
    receive(incoming, tmp_path, size)
    assert incoming.received == len(STREAM)
    assert (incoming.piece("manifest"), incoming.piece("files")) == (DATA["manifest"], DATA["files"])
    with incoming.open("archive") as archive:
        assert archive.tell() == len(DATA["manifest"]) + len(DATA["files"])
        assert archive.read() == DATA["archive"]


def test_a_later_run_goes_on_where_an_earlier_one_ended(store: Store, tmp_path: Path) -> None:
    Incoming(store, OFFER).append(*part(tmp_path, STREAM[:100]))
    again = Incoming(store, OFFER)
    assert again.received == 100
    receive(again, tmp_path)
    assert again.piece("files") == DATA["files"]


def test_a_part_that_was_damaged_on_its_way_leaves_what_came_before(store: Store, tmp_path: Path) -> None:
    incoming = Incoming(store, OFFER)
    incoming.append(*part(tmp_path, STREAM[:100]))
    path, _digest = part(tmp_path, b"x" * 50)
    with pytest.raises(DeployError, match=r"^a part was damaged on its way to this host; run again$"):
        incoming.append(path, hashlib.sha256(STREAM[100:150]).hexdigest())
    assert incoming.received == 100
    receive(incoming, tmp_path)
    assert incoming.piece("files") == DATA["files"]


def test_a_part_that_cannot_be_read_leaves_what_came_before(store: Store, tmp_path: Path) -> None:
    incoming = Incoming(store, OFFER)
    incoming.append(*part(tmp_path, STREAM[:100]))
    with pytest.raises(OSError):
        incoming.append(str(tmp_path), "")
    assert incoming.received == 100


@pytest.mark.parametrize("kind", ["manifest", "files"])
def test_a_piece_that_is_not_the_offered_one_is_sent_again(store: Store, tmp_path: Path, kind: str) -> None:
    incoming = Incoming(store, OFFER)
    incoming.append(*part(tmp_path, STREAM.replace(DATA[kind], b"x" * len(DATA[kind]))))
    assert incoming.complete
    with pytest.raises(DeployError, match=f"^the {kind} of cccccccccccc is damaged on this host; run again$"):
        incoming.piece(kind)
    assert incoming.received == 0


@pytest.mark.parametrize("other", [OFFER._replace(pieces=ENCODED_PIECES), OFFER._replace(pieces=OTHER_PIECES)])
def test_another_encoding_or_manifest_is_another_stream(store: Store, tmp_path: Path, other: Offer) -> None:
    Incoming(store, OFFER).append(*part(tmp_path, STREAM[:100]))
    assert Incoming(store, other).received == 0


def test_what_arrived_of_any_bundle_is_forgotten(store: Store, tmp_path: Path) -> None:
    for offer in (OFFER, OFFER._replace(pieces=OTHER_PIECES)):
        Incoming(store, offer).append(*part(tmp_path, STREAM[:100]))
    Incoming(store, OFFER).forget()
    assert os.listdir(store.path("incoming", "")) == []


def test_what_does_not_fit_on_the_disk_is_taken_back(store: Store, tmp_path: Path) -> None:
    incoming = Incoming(store, OFFER)
    incoming.append(*part(tmp_path, STREAM[:100]))
    whole = part(tmp_path, b"x" * 1000)

    def fail() -> None:
        # The system takes 400 bytes of it, then none.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        with pytest.raises(OSError, match="File too large"):
            incoming.append(*whole)

    in_child(fail)
    assert incoming.received == 100
