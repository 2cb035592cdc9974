# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The receipt: the immutable record of a generation. Format 1: a header line, then one JSON array a line."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import check_format, typed

#: Format this collection writes; it reads this one and all older ones.
FORMAT = 1


class Item(t.NamedTuple):
    """One path of a generation as it was deployed."""

    path: str
    #: 'file', 'link' or 'dir'.
    type: str
    #: After relocation; hex; of files only.
    sha256: str
    #: Bytes; of files only.
    size: int
    mode: int
    uid: int
    gid: int
    #: Of links only.
    target: str
    #: Made on the host from other files (bytecode), so its absence is no damage.
    derived: bool
    #: Name of the package it belongs to, in canonical form; empty for those of none. Explains, and decides nothing.
    package: str = ""


_COMPACT = json.JSONEncoder(separators=(",", ":"))
_TYPES = list(t.get_type_hints(Item).values())


class Header(t.NamedTuple):
    """What a generation is."""

    generation: str
    content_id: str
    name: str
    prefix: str
    bytecode: bool
    uid: int
    gid: int
    #: ISO 8601 UTC.
    created: str
    #: Who ran Ansible, and where: C(user@controller).
    by: str


class Receipt(t.NamedTuple):
    """Header and items, these by path."""

    header: Header
    items: t.Dict[str, Item]


def number_of(generation: str) -> int:
    """Return the number of *generation*, which grows from one to the next; that of one that was adopted is 0."""
    return int(generation.partition("-")[0])


def render_receipt(header: Header, items: t.Iterable[Item]) -> t.Iterator[bytes]:
    """Yield the lines of a receipt."""
    fields = {"format": FORMAT, "columns": Item._fields, **header._asdict()}
    yield json.dumps(fields, sort_keys=True).encode("ascii") + b"\n"
    for item in sorted(items):
        yield _COMPACT.encode(item).encode("ascii") + b"\n"


def parse_header(line: bytes, where: str) -> Header:
    """Parse the first line of the receipt at *where*; raise C(BundleError) when it is damaged or newer than us."""
    try:
        fields = json.loads(line)
        check_format(fields["format"], FORMAT, f"the receipt {where}")
        return typed(Header, {name: fields[name] for name in Header._fields})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(
            f"{where}: the receipt is damaged ({error}); remove the environment and deploy it again"
        ) from None


def parse_receipt(text: bytes, where: str) -> Receipt:
    """Parse a whole receipt; errors as M(parse_header)."""
    head, body = text.partition(b"\n")[::2]
    header = parse_header(head, where)
    try:
        rows = json.loads(b"[" + b",".join(body.splitlines()) + b"]")
        if any([type(value) for value in row] != _TYPES for row in rows):
            raise TypeError("a line has other columns")
        return Receipt(header, {row[0]: Item(*row) for row in rows})
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(
            f"{where}: the receipt is damaged ({error}); remove the environment and deploy it again"
        ) from None
