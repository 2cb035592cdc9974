# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import io
import tarfile
import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import HARD_LINK, Member, members
from hypothesis import example, given
from hypothesis import strategies as st

KINDS = {tarfile.REGTYPE: "file", tarfile.SYMTYPE: "link", tarfile.DIRTYPE: "dir"}

texts = st.one_of(
    st.sampled_from(
        ["a", "caf\udce9", "\u00fcber", "n" * 100, "n" * 101, "d/" * 60 + "n", "d" * 90 + "/" + "n" * 90, "x" * 300]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=5),
)
rows = st.lists(st.tuples(st.sampled_from(sorted(KINDS)), texts, texts, st.binary(max_size=600)), max_size=4)


def tar_of(rows: t.Iterable[t.Tuple[bytes, str, str, bytes]], **how: t.Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", encoding="utf-8", errors="surrogateescape", **how) as made:
        for kind, name, target, data in rows:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(data) if kind == tarfile.REGTYPE else 0
            info.linkname = target if kind == tarfile.SYMTYPE else ""
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(tar: bytes) -> t.List[t.Tuple[Member, bytes]]:
    return [(member, b"".join(data)) for member, data in members(t.cast(t.Any, io.BytesIO(tar)))]


@given(rows)
@example([(tarfile.REGTYPE, "n" * 300, "", b"x" * 512), (tarfile.SYMTYPE, "caf\udce9", "caf\udce9" * 60, b"")])
def test_what_the_standard_library_writes_is_read(rows: t.List[t.Tuple[bytes, str, str, bytes]]) -> None:
    expected = []
    for kind, name, target, data in rows:
        text = data if kind == tarfile.REGTYPE else b""
        link = target if kind == tarfile.SYMTYPE else ""
        expected.append((Member(name + "/" * (kind == tarfile.DIRTYPE), KINDS[kind], len(text), link, 0o644), text))
    assert read(tar_of(rows, format=tarfile.PAX_FORMAT)) == expected


def test_ustar_splits_long_names() -> None:
    name = "d" * 90 + "/" + "n" * 90
    tar = tar_of([(tarfile.REGTYPE, name, "", b"data")], format=tarfile.USTAR_FORMAT)
    assert read(tar) == [(Member(name, "file", 4, "", 0o644), b"data")]


def test_global_headers_are_passed_over() -> None:
    tar = tar_of(
        [(tarfile.REGTYPE, "a", "", b"data")], format=tarfile.PAX_FORMAT, pax_headers={"comment": "x", "path": "b"}
    )
    assert read(tar) == [(Member("a", "file", 4, "", 0o644), b"data")]


def test_data_that_nobody_took_is_passed_over() -> None:
    tar = tar_of([(tarfile.REGTYPE, "a", "", b"x" * 5000), (tarfile.REGTYPE, "b", "", b"y")])
    assert [member.name for member, _data in members(t.cast(t.Any, io.BytesIO(tar)))] == ["a", "b"]


def test_large_files_come_in_chunks() -> None:
    tar = tar_of([(tarfile.REGTYPE, "a", "", b"x" * (3 << 20))])
    ((_member, chunks),) = ((member, list(data)) for member, data in members(t.cast(t.Any, io.BytesIO(tar))))
    assert max(map(len, chunks)) <= 1 << 20
    assert b"".join(chunks) == b"x" * (3 << 20)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE])
def test_other_kinds_are_named_by_their_flag(kind: bytes) -> None:
    (found,) = read(tar_of([(kind, "a", "", b"")]))
    assert found[0].type == kind.decode()


def test_hard_links_say_what_to() -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as made:
        info = tarfile.TarInfo("b")
        info.type, info.linkname = tarfile.LNKTYPE, "a"
        made.addfile(info)
    assert read(tar.getvalue()) == [(Member("b", HARD_LINK, 0, "a", 0o644), b"")]


def test_the_long_names_of_gnu_tar_are_read() -> None:
    name, target = "d" * 150 + "/" + "n" * 90, "t" * 200
    rows = [(tarfile.REGTYPE, name, "", b"data"), (tarfile.SYMTYPE, name, target, b"")]
    tar = tar_of(rows, format=tarfile.GNU_FORMAT)
    assert [member.name for member, _data in read(tar)] == [name, name]
    assert read(tar)[1][0].target == target


@given(st.integers(0, 511), st.integers(1, 255))
def test_a_changed_header_is_refused(at: int, by: int) -> None:
    tar = bytearray(tar_of([(tarfile.REGTYPE, "a", "", b"data")], format=tarfile.USTAR_FORMAT))
    before = read(bytes(tar))
    tar[at] ^= by
    with contextlib.suppress(ValueError):
        # What surrounds the digits of the checksum itself says nothing.
        assert read(bytes(tar)) == before


def test_files_with_holes_are_refused() -> None:
    info = tarfile.TarInfo("a")
    info.pax_headers = {"GNU.sparse.major": "1"}
    with pytest.raises(ValueError, match="holes"):
        read(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))


TAR = tar_of(
    [(tarfile.REGTYPE, "n" * 150, "", b"x" * 700), (tarfile.SYMTYPE, "l", "t", b"")], format=tarfile.PAX_FORMAT
)


def test_a_cut_tar_is_damaged_wherever_it_is_cut() -> None:
    end = TAR.index(bytes(1024))
    for length in range(0, end, 7):
        with pytest.raises((EOFError, ValueError)):
            read(TAR[:length])


@given(st.integers(0, len(TAR) - 1), st.binary(min_size=1, max_size=12))
@example(124, b"-0000000001\0")
@example(512, b"-20 path=x\n")
@example(512, b"999999 path=")
def test_a_damaged_tar_is_read_or_refused(at: int, garbage: bytes) -> None:
    try:
        read(TAR[:at] + garbage + TAR[at + len(garbage) :])
    except (EOFError, ValueError) as error:
        assert "\n" not in str(error)


class Stream(io.BytesIO):
    """Refuses to be read in one piece."""

    def read(self, size: t.Optional[int] = -1) -> bytes:
        assert size is not None and 0 <= size <= 1 << 20
        return super().read(size)


@pytest.mark.parametrize("size", [b"-0000000001\0", b"77777777777\0", b"\x80" + b"\xff" * 11, b"size of it.\0"])
@pytest.mark.parametrize("header", [0, 1024], ids=["extended", "file"])
def test_no_size_in_a_header_makes_us_read_everything(size: bytes, header: int) -> None:
    damaged = TAR[: header + 124] + size + TAR[header + 136 :]
    with pytest.raises((EOFError, ValueError)):
        for _member, data in members(Stream(damaged)):
            for _chunk in data:
                pass
