# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.plugin_utils import _encodings
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle
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


def test_another_encoding_is_of_the_same_tar(bundle: Bundle) -> None:
    assert bundle.codec == "zstd"
    bundle.encode("gzip")
    data = Path(bundle.archive).read_bytes()
    assert hashlib.sha256(gzip.decompress(data)).hexdigest() == bundle.manifest.tar_sha256
    kind, path, piece = bundle.pieces()[-1]
    assert (kind, path) == ("archive", bundle.archive)
    assert (piece.size, piece.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (bundle.codec, bundle.offer()["codec"]) == ("gzip", "gzip")


def test_the_encoding_there_is_is_not_made_anew(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_encodings, "transcode", None)
    bundle.encode("zstd")
    assert bundle.codec == "zstd"


def test_an_encoding_is_made_once_and_again_only_when_it_is_lost(
    bundle: Bundle, tiny: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = [], _encodings._make

    def counted(bundle: Bundle, path: str) -> str:
        made.append(path)
        return make(bundle, path)

    monkeypatch.setattr(_encodings, "_make", counted)
    bundle.encode("gzip")
    first = Path(bundle.archive).read_bytes()
    again = Bundle(str(tiny.path), bundle.cache)
    again.encode("gzip")
    assert again.pieces() == bundle.pieces()
    assert len(made) == 1
    os.unlink(bundle.archive)
    once_more = Bundle(str(tiny.path), bundle.cache)
    once_more.encode("gzip")
    assert len(made) == 2
    assert Path(once_more.archive).read_bytes() == first


def test_a_making_that_was_interrupted_is_made_again(
    bundle: Bundle, tiny: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", lambda _source, _target: (never for never in "").throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bundle.encode("gzip")
    again = Bundle(str(tiny.path), bundle.cache)
    again.encode("gzip")
    assert hashlib.sha256(gzip.decompress(Path(again.archive).read_bytes())).hexdigest() == again.manifest.tar_sha256


def test_a_damaged_archive_is_not_encoded(bundle: Bundle, tiny: TinyBundle) -> None:
    data = tiny.archive.read_bytes()
    tiny.archive.write_bytes(data[:-1] + b"x")
    with pytest.raises(BundleError, match="is damaged"):
        bundle.encode("gzip")
    assert not list(Path(bundle.cache).glob("*.tar.gz*[!t]"))


def test_other_codecs_cannot_be_made(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"^the archive cannot be sent as xz; only as zstd or gzip$"):
        bundle.encode("xz")
