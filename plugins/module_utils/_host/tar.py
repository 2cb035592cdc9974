# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Read a tar as a stream: the POSIX formats (ustar, pax) that bundles are written in, and no more.

Format: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13 . Several times faster than the
general reader of the standard library, and every host reads alike, whatever its Python does about odd archives.
"""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import Reader
from ansible_collections.airgap.conda.plugins.module_utils._model.files import DIRECTORY, FILE, LINK

_BLOCK = 512
_CHUNK = 1 << 20
_END = bytes(_BLOCK)
_TYPES = {b"0": FILE, b"\0": FILE, b"2": LINK, b"5": DIRECTORY}
_PAX, _PAX_GLOBAL = b"x", b"g"
#: More than any path and its like needs; bounds what a damaged header can make us read.
_PAX_MAX = 1 << 20


class Member(t.NamedTuple):
    """One member of a tar."""

    name: str
    #: As in file lists; of anything else that tar can hold, its type flag.
    type: str
    #: Bytes.
    size: int
    #: Of links only.
    target: str
    mode: int = 0o644


def members(source: Reader) -> t.Iterator[tuple[Member, t.Iterator[bytes]]]:
    """Yield each member of *source* with its bytes, which must be taken before the next one.

    Raise C(ValueError) or C(EOFError) where it is no tar or ends too early.
    """
    records: dict[str, str] = {}
    header = _exactly(source, _BLOCK)
    while header != _END:
        flag, size = header[156:157], _number(header[124:136])
        if flag in (_PAX, _PAX_GLOBAL):
            if size > _PAX_MAX:
                raise ValueError(f"an extended header of {size} bytes")
            extended = _exactly(source, size)
            records = _pax_records(extended) if flag == _PAX else records
            header = _exactly(source, -size % _BLOCK + _BLOCK)[-_BLOCK:]
            continue
        member = _member(header, flag, size, records)
        data = _data(source, member.size)
        yield member, data
        for _rest in data:
            pass
        records = {}
        header = _exactly(source, -member.size % _BLOCK + _BLOCK)[-_BLOCK:]


def _member(header: bytes, flag: bytes, size: int, records: dict[str, str]) -> Member:
    if header[257:262] != b"ustar":
        raise ValueError("no tar header where one belongs")
    prefix = _text(header[345:500])
    name = records.get("path") or (f"{prefix}/" if prefix else "") + _text(header[:100])
    kind = _TYPES.get(flag, flag.decode("ascii", "replace"))
    target = records.get("linkpath") or _text(header[157:257]) if kind == LINK else ""
    return Member(name, kind, int(records.get("size", size)) if kind == FILE else 0, target, _number(header[100:108]))


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
        records[keyword.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
    return records
