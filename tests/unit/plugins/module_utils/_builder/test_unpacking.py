# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import typing as t
import zipfile
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.unpacking import _Streams, read_archive
from ansible_collections.airgap.conda.plugins.module_utils._builder.watching import Watch, replaced_head
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: Each of these starts a decompressor.
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

CODECS: t.Dict[str, t.Tuple[t.Callable[[bytes], bytes], t.Callable[[], t.Any]]] = {
    "bzip2": (bz2.compress, bz2.BZ2Decompressor),
    "xz": (lzma.compress, lzma.LZMADecompressor),
}


@pytest.mark.parametrize("codec", CODECS)
@FEW
@given(
    parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=4), sizes=st.lists(st.integers(1, 700), min_size=1)
)
def test_streams_one_behind_the_other_are_read_as_one(codec: str, parts: t.List[bytes], sizes: t.List[int]) -> None:
    compress, decompressor = CODECS[codec]
    reader = _Streams(io.BytesIO(b"".join(map(compress, parts))), decompressor)
    found, step = [], 0
    while data := reader.read(sizes[step % len(sizes)]):
        assert len(data) <= sizes[step % len(sizes)]
        found.append(data)
        step += 1
    assert b"".join(found) == b"".join(parts)


def chunked(data: bytes, sizes: t.List[int]) -> t.Iterator[bytes]:
    step = 0
    while data:
        size = sizes[step % len(sizes)]
        yield data[:size]
        data, step = data[size:], step + 1


texts = st.lists(st.sampled_from([b"/old/place", b"/old", b"/old/placehold_placehold/", b"\0", b"x", b"/"])).map(
    b"".join
)
cuts = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@given(texts, cuts)
def test_what_goes_by_is_seen_wherever_it_is_cut(text: bytes, sizes: t.List[int]) -> None:
    watch = Watch(["/old/place", "/x/x"], "")
    assert b"".join(watch.over(chunked(text, sizes))) == text
    assert watch.found == {old for old in ("/old/place", "/x/x") if old.encode() in text}
    assert watch.is_binary == (b"\0" in text)


@given(st.binary(max_size=50), cuts, st.integers(0, 30), st.binary(max_size=10))
def test_a_head_is_replaced_wherever_it_is_cut(data: bytes, sizes: t.List[int], size: int, head: bytes) -> None:
    assert b"".join(replaced_head(chunked(data, sizes), size, head)) == head + data[size:]


def archives() -> t.Iterator[bytes]:
    tar, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as made, zipfile.ZipFile(packed, "w") as zipped:
        for name, data in (("bin/tool", b"tool" * 50), ("conda-meta/x-1-0.json", b"{}")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
            zipped.writestr(name, data)
    yield from (tar.getvalue(), bz2.compress(tar.getvalue()), lzma.compress(tar.getvalue()), packed.getvalue())


ARCHIVES = list(archives())


@FEW
@given(st.sampled_from(ARCHIVES), st.integers(0, 900), st.binary(min_size=1, max_size=8))
def test_a_damaged_archive_is_read_or_refused_in_one_line(
    tmp_path: Path, archive: bytes, at: int, garbage: bytes
) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive[:at] + garbage + archive[at + len(garbage) :])
    try:
        for member, data in read_archive(str(path)):
            assert member.name and not member.name.startswith("/") and ".." not in member.name.split("/")
            assert sum(map(len, data)) == member.size
    except BundleError as error:
        assert "\n" not in str(error)
