# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Media: what a stick holds, as data. C(media.json) says which files there are and of which parts; format 1.

Names are such that every file system of sticks can hold them: one case, no links, no part over the limit of FAT32.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import (
    BUNDLES_NAME,
    Piece,
    check_format,
    typed,
)

#: Format this collection writes; it reads this one and all older ones.
FORMAT = 1

INDEX_NAME = "media.json"
SUMS_NAME = "SHA256SUMS"
#: The largest file that FAT32 holds.
PART_MAX = (1 << 32) - 1

BUNDLE = "bundle"
DELTA = "delta"
#: What a controller that has nothing starts from.
START = "start"
_KINDS = (BUNDLE, DELTA, START)

#: What VFAT does not take in a name, or takes away from its end.
_UNFIT = re.compile(r'[\x00-\x1f"*/:<>?\\|]|[. ]$|^$')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class File(t.NamedTuple):
    """A file that is carried; its parts, one after the other, are it."""

    name: str
    #: Bytes.
    size: int
    parts: t.Tuple[Piece, ...]


class Item(t.NamedTuple):
    """A directory that is carried."""

    kind: str
    name: str
    files: t.Tuple[File, ...]

    @property
    def directory(self) -> str:
        """Where its parts lie on the medium."""
        return self.name if self.kind == START else f"{BUNDLES_NAME}/{self.name}"


def cut(name: str, size: int, part_size: int) -> list[tuple[str, int, int]]:
    """Return name, offset and size of each part of a file; one that fits stays whole, under its own name."""
    if size <= part_size:
        return [(name, 0, size)]
    count = -(-size // part_size)
    width = max(3, len(str(count)))
    return [
        (f"{name}.{number + 1:0{width}}", number * part_size, min(part_size, size - number * part_size))
        for number in range(count)
    ]


def parts_among(names: t.Iterable[str], name: str) -> list[str]:
    """Return those of *names* that M(cut) gives to parts of the file *name*, in order."""
    part = re.compile(re.escape(name) + r"\.(\d{3,})")
    found = [(int(match[1]), match[0]) for match in map(part.fullmatch, names) if match]
    return [each for _number, each in sorted(found)]


def name_faults(paths: t.Iterable[str]) -> list[str]:
    """Return why *paths*, relative ones, cannot all lie on a medium."""
    seen: dict[str, str] = {}
    faults = []
    for path in paths:
        for part in path.split("/"):
            if _UNFIT.search(part) or _RESERVED.fullmatch(part) or len(part) > 255:
                faults.append(f"{path!r} cannot be a name on FAT32")
        other = seen.setdefault(path.lower(), path)
        if other != path:
            faults.append(f"{path!r} and {other!r} differ in case only")
    return faults


def sums(items: t.Iterable[Item], others: t.Iterable[Piece]) -> bytes:
    """Return what C(sha256sum -c) reads."""
    pieces = [piece._replace(file=f"{item.directory}/{piece.file}") for item in items for piece in parts_of(item)]
    lines = sorted(f"{piece.sha256}  {piece.file}\n" for piece in [*pieces, *others])
    return "".join(lines).encode()


def parts_of(item: Item) -> t.Iterator[Piece]:
    """Yield the parts of all files of *item*."""
    for file in item.files:
        yield from file.parts


def render_index(items: t.Iterable[Item]) -> bytes:
    """Return C(media.json)."""
    fields = {"format": FORMAT, "items": [_item_json(item) for item in items]}
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode("ascii")


def _item_json(item: Item) -> dict[str, t.Any]:
    files = [{**file._asdict(), "parts": [part._asdict() for part in file.parts]} for file in item.files]
    return {"kind": item.kind, "name": item.name, "files": files}


def parse_index(text: bytes, where: str) -> list[Item]:
    """Parse what was found at *where*; raise C(BundleError) when it is damaged or of a newer format."""
    try:
        fields = json.loads(text)
        check_format(fields["format"], FORMAT, f"the medium {where}")
        items = [_item(each) for each in fields["items"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{where}: {INDEX_NAME} is damaged ({error}); export again") from None
    return items


def _item(fields: dict[str, t.Any]) -> Item:
    files = []
    for each in fields["files"]:
        parts = tuple(typed(Piece, part) for part in each["parts"])
        digests = all(_DIGEST.fullmatch(part.sha256) for part in parts)
        if sum(part.size for part in parts) != each["size"] or not digests:
            raise ValueError(f"unusable parts of {each['name']!r}")
        files.append(File(each["name"], each["size"], parts))
    item = Item(fields["kind"], fields["name"], tuple(files))
    names = [item.name, *(name for file in files for name in (file.name, *(part.file for part in file.parts)))]
    if item.kind not in _KINDS or any(_UNFIT.search(name) for name in names):
        raise ValueError(f"unusable names in {item.name!r}")
    return item
