# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import typing as t
import zlib
from pathlib import Path

import pytest
import zstandard
from ansible_collections.airgap.conda.plugins.module_utils._host import decoding
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import DAMAGED, decoded, decoders
from ansible_collections.airgap.conda.plugins.module_utils._host.joined import joined
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import noise

LIBRARY, PROGRAM, GZIP = "library", "program", "gzip"

#: Every decoder this machine has.
HERE = [
    *([LIBRARY] if decoding._libzstd() else []),
    *([PROGRAM] if shutil.which("zstd") else []),
    GZIP,
]

#: Runs, noise and text: several chunks and blocks.
DATA = noise(5, 300_000)
DATA += b"\0" * 3_000_000 + b"".join(b"line %d\n" % number for number in range(100_000))


@pytest.fixture(params=HERE)
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make this decoder the one that is chosen; return the codec it decodes."""
    if request.param == LIBRARY:
        library = decoding._libzstd()
        assert library
        monkeypatch.setattr(decoding, "_zstd_decoder", lambda: lambda source: decoding._LibraryDecoder(library, source))
    if request.param == PROGRAM:
        monkeypatch.setattr(decoding, "_zstd_decoder", lambda: decoding._ProgramDecoder)
    return "gzip" if request.param == GZIP else "zstd"


def encoded(codec: str, data: bytes, **options: t.Any) -> bytes:
    if codec == "gzip":
        return gzip.compress(data, 1)
    return zstandard.ZstdCompressor(level=3, write_checksum=True, **options).compress(data)


def decode(codec: str, path: Path, offset: int = 0, sizes: t.Sequence[int] = (1 << 20,)) -> bytes:
    found: list[bytes] = []
    with open(path, "rb", buffering=0) as source:
        source.seek(offset)
        with decoded(codec, t.cast(t.BinaryIO, source)) as reader:
            while True:
                piece = reader.read(sizes[len(found) % len(sizes)])
                found.append(piece)
                if not piece:
                    return b"".join(found)


@pytest.mark.parametrize("sizes", [[1 << 20], [512], [1, 10240, 1 << 21], [-1]], ids=str)
def test_what_was_encoded_is_decoded_however_it_is_read(decoder: str, tmp_path: Path, sizes: list[int]) -> None:
    path = tmp_path / "archive"
    path.write_bytes(encoded(decoder, DATA))
    assert decode(decoder, path, sizes=sizes) == DATA


def test_decoding_starts_where_the_source_stands(decoder: str, tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(b"manifest and files" + encoded(decoder, DATA))
    assert decode(decoder, path, len(b"manifest and files")) == DATA


def test_a_source_of_several_files_is_decoded(decoder: str, tmp_path: Path) -> None:
    data = encoded(decoder, DATA)
    parts = [tmp_path / str(number) for number in range(4)]
    for part, chunk in zip(parts, (data[:1], data[1:70_000], b"", data[70_000:])):
        part.write_bytes(chunk)
    with joined([str(part) for part in parts]) as source, decoded(decoder, source) as reader:
        assert reader.read() == DATA


def test_a_frame_after_a_frame_is_decoded(decoder: str, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(encoded(decoder, DATA) + encoded(decoder, b"") + encoded(decoder, b"more"))
    assert decode(decoder, path) == DATA + b"more"


def test_a_last_block_that_is_larger_than_the_room_left_for_it_is_decoded_whole(decoder: str, tmp_path: Path) -> None:
    block = 97_001
    data = DATA[-11 * block :]
    compressor: t.Any = zstandard.ZstdCompressor(level=1).compressobj()
    end = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    if decoder == "gzip":
        compressor, end = zlib.compressobj(1, wbits=31), zlib.Z_FULL_FLUSH
    parts = [compressor.compress(data[at : at + block]) + compressor.flush(end) for at in range(0, 10 * block, block)]
    (tmp_path / "archive").write_bytes(b"".join([*parts, compressor.compress(data[10 * block :]), compressor.flush()]))
    assert decode(decoder, tmp_path / "archive") == data


def test_a_cut_archive_is_damaged_wherever_it_is_cut(decoder: str, tmp_path: Path) -> None:
    whole = encoded(decoder, DATA[290_000:310_000])
    path = tmp_path / "archive"
    for length in [*range(1, len(whole), 97), *range(len(whole) - 8, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(DAMAGED):
            decode(decoder, path)


def test_flipped_bits_are_damage_or_make_no_difference(decoder: str, tmp_path: Path) -> None:
    data = DATA[299_000:301_000]
    whole = encoded(decoder, data)
    path = tmp_path / "archive"
    for offset in range(0, len(whole), 23):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1 << offset % 8]) + whole[offset + 1 :])
        try:
            found = decode(decoder, path)
        except DAMAGED:
            continue
        assert found == data, offset


def test_a_decoder_that_is_left_early_leaves_no_process(tmp_path: Path) -> None:
    if PROGRAM not in HERE:
        pytest.skip("this machine has no zstd program")
    path = tmp_path / "archive"
    path.write_bytes(encoded("zstd", DATA))
    with open(path, "rb") as source, decoding._ProgramDecoder(source) as reader:
        assert reader.read(10) == DATA[:10]
    assert isinstance(reader._process.returncode, int)


def test_a_host_without_zstd_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_libzstd", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    if decoding._zstd_decoder() is not None:
        pytest.skip("this Python decodes zstd itself")
    assert decoders() == ["gzip"]
    with pytest.raises(DeployError, match="nothing that decodes zstd; the archive must be sent as gzip"), decoded(
        "zstd", io.BytesIO()
    ):
        pass


def test_the_library_goes_before_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    if decoding._libzstd() is None:
        pytest.skip("this machine has no libzstd")
    # It runs nothing, not even to find the library.
    monkeypatch.setattr(subprocess, "Popen", None)
    assert decoders() == ["zstd", "gzip"]
    with decoded("zstd", io.BytesIO(encoded("zstd", b"x"))) as reader:
        assert reader.read() == b"x"
