# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import shlex
import types
import typing as t
from pathlib import Path

import pytest
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.plugin_utils import _sending
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle
from ansible_collections.airgap.conda.plugins.plugin_utils._sending import (
    digest_of_part,
    part_of,
    send_part,
    without_compression,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    make_bundle,
    tool_members,
)


@pytest.fixture
def tiny(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "1.0", tool_members("1.0"))


@pytest.fixture
def bundle(tiny: TinyBundle, tmp_path: Path) -> Bundle:
    return Bundle(str(tiny.path), str(tmp_path / "cache"))


@pytest.mark.parametrize("size", [1, 100, 777, 1 << 20])
def test_parts_one_after_the_other_are_the_stream(bundle: Bundle, tiny: TinyBundle, size: int) -> None:
    stream = tiny.stream
    for offset in {0, 1, len(stream) - 1, *range(0, len(stream), 101), *_edges(bundle)}:
        assert b"".join(part_of(bundle, offset, size)) == stream[offset : offset + size], offset


def _edges(bundle: Bundle) -> t.Iterator[int]:
    """Yield where pieces meet, and the bytes beside."""
    end = 0
    for _kind, _path, piece in bundle.pieces():
        end += piece.size
        yield from (end - 1, end, end + 1)


def test_past_the_end_there_is_nothing(bundle: Bundle, tiny: TinyBundle) -> None:
    assert b"".join(part_of(bundle, len(tiny.stream))) == b""


def test_a_part_comes_in_small_chunks(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sending, "_CHUNK", 64)
    assert max(len(chunk) for chunk in part_of(bundle, 0)) == 64


def action_with(connection: t.Any) -> t.Any:
    return types.SimpleNamespace(_connection=connection)


def test_a_part_arrives_and_is_told_of(bundle: Bundle, tiny: TinyBundle, tmp_path: Path) -> None:
    remote = tmp_path / "part"
    local = connection_loader.get("local", PlayContext(), os.devnull)
    told = send_part(action_with(local), bundle, 250, str(remote), 500)
    assert remote.read_bytes() == tiny.stream[250:750]
    sha256 = hashlib.sha256(tiny.stream[250:750]).hexdigest()
    assert told == {"stream": bundle.stream, "path": str(remote), "offset": 250, "sha256": sha256}


def test_a_part_is_read_once_for_its_digest(bundle: Bundle, tiny: TinyBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = hashlib.sha256(tiny.stream[250:750]).hexdigest()
    assert digest_of_part(bundle, 250, 500) == sha256
    monkeypatch.setattr(_sending, "digested", lambda _chunks: pytest.fail("read again"))
    assert digest_of_part(bundle, 250, 500) == sha256
    os.utime(bundle.archive)
    with pytest.raises(pytest.fail.Exception, match="read again"):
        digest_of_part(bundle, 250, 500)


class Unplugged:
    """A connection whose cable was pulled."""

    def put_file(self, _source: str, _target: str) -> None:
        raise OSError(5, "Input/output error")


def test_a_cut_connection_is_told_with_the_bundle(bundle: Bundle) -> None:
    with pytest.raises(DeployError, match=f"^cannot send {bundle.manifest.label}: .*Input/output error$"):
        send_part(action_with(Unplugged()), bundle, 0, "/part")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("-C -o ControlMaster=auto -o ControlPersist=60s", "-o ControlMaster=auto -o ControlPersist=60s"),
        ("-o ControlMaster=auto -C", "-o ControlMaster=auto"),
        ("-o Compression=yes -o ControlMaster=auto", "-o ControlMaster=auto"),
        ("-oCompression=yes", ""),
        ("-o compression=YES -4", "-4"),
        ("-o 'Compression=yes' -4", "-4"),
        ('-o "Compression yes" -4', "-4"),
        ("-o Compression=no -4", "-o Compression=no -4"),
        ("-c aes128-ctr -4", "-c aes128-ctr -4"),
        ("-o ProxyCommand='ssh -C gate nc %h 22'", "-o ProxyCommand='ssh -C gate nc %h 22'"),
        ("-F /home/ann/-C -4", "-F /home/ann/-C -4"),
        ("-o 'User Known' -oPort=22 -4 -o", "-o 'User Known' -o Port=22 -4 -o ''"),
        ("-o ControlMaster=auto", "-o ControlMaster=auto"),
        ("", ""),
    ],
)
def test_compression_is_taken_out_of_the_arguments_of_ssh_and_nothing_else(before: str, after: str) -> None:
    ssh = connection_loader.get("ssh", PlayContext(), os.devnull)
    ssh.set_options(direct={"ssh_args": before})
    without_compression(ssh)
    # As Ansible reads them.
    assert shlex.split(ssh.get_option("ssh_args")) == shlex.split(after)


def test_connections_without_such_arguments_are_left_alone() -> None:
    without_compression(connection_loader.get("local", PlayContext(), os.devnull))
