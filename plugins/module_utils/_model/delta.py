# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Deltas: what one bundle holds that another lacks. By content, so what was renamed or moved is not held again.

A delta is a directory: C(delta.json), the newer bundle's manifest and file list as they are, and an archive of the
contents that the older one lacks, in the order of the newer one's.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import FILE, Entry, source_of_bytecode
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Encoding, Piece, check_format, typed

#: Format this collection writes; it reads this one and all older ones.
FORMAT = 1

DELTA_NAME = "delta.json"

#: A delta of more than this part of the whole is not worth its making.
WORTH = 0.7

_DIGEST = re.compile(r"[0-9a-f]{64}")

Content = t.Tuple[str, int, t.Any]


class Basis(t.NamedTuple):
    """What a delta builds on: what a host holds, told by the list of a bundle's files."""

    #: Content id of the list; or empty, where the host holds nothing that is known.
    base: str = ""
    #: Digests of those of its contents that are nowhere on the host.
    lost: t.Tuple[str, ...] = ()


class Delta(t.NamedTuple):
    """C(delta.json)."""

    #: Content ids.
    older: str
    newer: str
    #: Of the archive of what the older one lacks.
    encoding: Encoding


def origins(older: t.Iterable[Entry], newer: t.Sequence[Entry]) -> dict[str, str]:
    """Return, of each path of *newer* that an older generation has on a host, the path that it has there.

    On a host all generations are baked for one prefix; so equal contents with equal relocations are equal files. What
    states digests of other files, and bytecode, depends on more than itself, and counts only where nothing moved.
    """
    had = {entry.path: entry for entry in older}
    contents: dict[Content, str] = {}
    for entry in had.values():
        if _stands_alone(entry):
            contents.setdefault(_content(entry), entry.path)
    same = {entry.path for entry in newer if had.get(entry.path) == entry}
    # Digests that files state change with relocation, which their own bytes do not tell.
    steady = not any(_is_relocated_otherwise(had.get(entry.path), entry) for entry in newer)
    wanted = {entry.path for entry in newer}
    found = {}
    for entry in newer:
        if entry.path in same:
            if _is_steady(entry, same, wanted) and (steady or not entry.renews):
                found[entry.path] = entry.path
        elif _stands_alone(entry) and _content(entry) in contents:
            found[entry.path] = contents[_content(entry)]
    return found


def given_of(older: t.Mapping[str, Entry], newer: t.Sequence[Entry], give: t.Callable[[Entry, str], bool]) -> set[str]:
    """Have *give* try each entry of *newer* with a path of *older* that has it; return the paths that it gave.

    Where one path does not give what the list says, another with the same content may.
    """
    had, given = dict(older), set()
    while True:
        found = origins(had.values(), newer)
        failed = set()
        for entry in newer:
            source = found.get(entry.path)
            if source is None or entry.path in given:
                continue
            if give(entry, source):
                given.add(entry.path)
            else:
                failed.add(source)
        if not failed:
            return given
        for path in failed:
            del had[path]


def lacking(older: t.Iterable[Entry], newer: t.Sequence[Entry], lost: t.Container[str] = ()) -> list[Entry]:
    """Return the entries of *newer* that an older generation cannot give, in their order.

    *lost*: digests of what it should have and has not.
    """
    had = {entry.path: entry for entry in older}
    found = origins(had.values(), newer)
    return [entry for entry in newer if entry.path not in found or had[found[entry.path]].sha256 in lost]


def is_worth_it(part: t.Iterable[Entry], whole: t.Iterable[Entry]) -> bool:
    """Whether sending *part* alone is worth its making, judged by bytes of files."""
    return sum(entry.size for entry in part) < WORTH * sum(entry.size for entry in whole)


def _content(entry: Entry) -> Content:
    return (entry.sha256, entry.size, entry.relocations)


def _stands_alone(entry: Entry) -> bool:
    return entry.type == FILE and not entry.renews and source_of_bytecode(entry.path) is None


def _is_relocated_otherwise(before: Entry | None, entry: Entry) -> bool:
    return before is not None and before.sha256 == entry.sha256 and before.relocations != entry.relocations


def _is_steady(entry: Entry, same: t.Container[str], wanted: t.Container[str]) -> bool:
    """Whether *entry*, the same as before, is made of nothing that changed."""
    source = source_of_bytecode(entry.path)
    return source is None or source in same or source not in wanted


def render_delta(delta: Delta) -> bytes:
    """Return C(delta.json)."""
    encoding = {**delta.encoding._asdict(), "piece": delta.encoding.piece._asdict()}
    fields = {"format": FORMAT, "older": delta.older, "newer": delta.newer, "encoding": encoding}
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode("ascii")


def parse_delta(text: bytes, where: str) -> Delta:
    """Parse what was found at *where*; raise C(BundleError) when it is damaged or of a newer format."""
    try:
        fields = json.loads(text)
        check_format(fields["format"], FORMAT, f"the delta {where}")
        encoding = typed(Encoding, {**fields["encoding"], "piece": typed(Piece, fields["encoding"]["piece"])})
        for digest in (fields["older"], fields["newer"], encoding.piece.sha256):
            if not _DIGEST.fullmatch(digest):
                raise ValueError(f"unusable digest {digest!r}")
        if "/" in encoding.piece.file or encoding.piece.file in ("", ".", ".."):
            raise ValueError(f"unusable piece {encoding.piece.file!r}")
        return Delta(fields["older"], fields["newer"], encoding)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{where}: the delta is damaged ({error}); copy it again") from None
