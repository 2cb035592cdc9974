# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Read a tar as a stream: the formats (ustar, pax, GNU's long names) that bundles and conda-pack's archives have.

Format: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13 . Several times faster than the
general reader of the standard library, and every host reads alike, whatever its Python does about odd archives.
"""

from __future__ import annotations

import typing as t
import zlib

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import Reader
from ansible_collections.airgap.conda.plugins.module_utils._model.files import DIRECTORY, FILE, LINK

_BLOCK = 512
_CHUNK = 1 << 20
_END = bytes(_BLOCK)
#: No type of a file list, so no bundle holds one.
HARD_LINK = "hard link"
_TYPES = {b"0": FILE, b"\0": FILE, b"1": HARD_LINK, b"2": LINK, b"5": DIRECTORY}
_PAX, _PAX_GLOBAL = b"x", b"g"
#: Members of GNU tar whose data is the name, or the target, of the next one.
_GNU_LONG = {b"L": "path", b"K": "linkpath"}
#: Where the checksum of a header is, made with blanks in its own place.
_SUM = slice(148, 156)
#: Base of Adler-32, whose lower half is one more than the sum of all bytes: many times faster than C(sum).
_ADLER = 65521
#: More than any path and its like needs; bounds what a damaged header can make us read.
_PAX_MAX = 1 << 20
_PAX_ROW_MAX = 16


class Member(t.NamedTuple):
    """One member of a tar."""

    name: str
    #: As in file lists; of anything else that tar can hold, its type flag.
    type: str
    #: Bytes.
    size: int
    #: Of links, and hard links, only.
    target: str
    mode: int


def members(source: Reader) -> t.Iterator[tuple[Member, t.Iterator[bytes]]]:
    """Yield each member of *source* with its bytes, which must be taken before the next one.

    Raise C(ValueError) or C(EOFError) where it is no tar or ends too early.
    """
    records: dict[str, str] = {}
    row = 0
    header = _exactly(source, _BLOCK)
    while header != _END:
        _check(header)
        flag, size = header[156:157], _number(header[124:136])
        if flag in (_PAX, _PAX_GLOBAL) or flag in _GNU_LONG:
            row += 1
            if size > _PAX_MAX or row > _PAX_ROW_MAX:
                raise ValueError(f"extended headers ({row}, of {size} bytes) that no file needs")
            extended = _exactly(source, size)
            if flag == _PAX:
                records = _pax_records(extended)
            elif flag in _GNU_LONG:
                records = {**records, _GNU_LONG[flag]: _text(extended)}
            header = _exactly(source, -size % _BLOCK + _BLOCK)[-_BLOCK:]
            continue
        member = _member(header, flag, size, records)
        data = _data(source, member.size)
        yield member, data
        for _rest in data:
            pass
        records, row = {}, 0
        header = _exactly(source, -member.size % _BLOCK + _BLOCK)[-_BLOCK:]


def _check(header: bytes) -> None:
    stated = header[_SUM]
    actual = (zlib.adler32(header) & 0xFFFF) - 1 - sum(stated) + len(stated) * ord(" ")
    if header[257:262] != b"ustar" or (_number(stated) - actual) % _ADLER:
        raise ValueError("no tar header where one belongs")


def _member(header: bytes, flag: bytes, size: int, records: dict[str, str]) -> Member:
    # GNU tar has times where POSIX has the beginning of a long name.
    prefix = _text(header[345:500]) if header[262:263] == b"\0" else ""
    name = records.get("path") or (f"{prefix}/" if prefix else "") + _text(header[:100])
    kind = _TYPES.get(flag, flag.decode("ascii", "replace"))
    target = records.get("linkpath") or _text(header[157:257]) if kind in (LINK, HARD_LINK) else ""
    # What conda-pack writes as a hard link may have data all the same.
    sized = kind in (FILE, HARD_LINK)
    return Member(name, kind, int(records.get("size", size)) if sized else 0, target, _number(header[100:108]))


def _data(source: Reader, size: int) -> t.Iterator[bytes]:
    while size:
        chunk = _exactly(source, min(size, _CHUNK))
        size -= len(chunk)
        yield chunk


def _exactly(source: Reader, size: int) -> bytes:
    if size < 0:
        raise ValueError("a size below zero")
    data = source.read(size) if size else b""
    if len(data) != size:
        raise EOFError("it ends too early")
    return data


def _number(field: bytes) -> int:
    if field[0] == 0x80:
        # GNU's form of what has no room as octal digits.
        return int.from_bytes(field[1:], "big")
    return int(field.rstrip(b"\0 ") or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _pax_records(data: bytes) -> dict[str, str]:
    """Return the records of an extended header: C(length keyword=value) lines, the length counting all of it."""
    records = {}
    while data:
        length = int(data[: data.index(b" ")])
        line, data = data[:length], data[length:]
        if length < 5 or not line.endswith(b"\n"):
            raise ValueError("a damaged extended header")
        keyword, value = line[line.index(b" ") + 1 : -1].partition(b"=")[::2]
        if keyword.startswith(b"GNU.sparse"):
            raise ValueError("a file with holes")
        records[keyword.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
    return records
