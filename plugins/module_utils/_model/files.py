# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The canonical file list of a bundle; the sha256 of its bytes is the content id.

One JSON object a line, keys and lines sorted, names as UTF-8 with surrogates escaped, so that equal trees give equal
bytes. C(zcat files.jsonl.gz | sha256sum) is the content id.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
import zlib
from types import MappingProxyType

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError

#: Modification time of everything in a bundle (seconds since 1970), unless an entry carries its own:
#: the first time every archive format can hold.
EPOCH = 315532800

#: What unmanaged text carries in the place of the builder's prefix; as long as conda's own placeholders.
PLACEHOLDER = ("/airgap_conda_prefix" + "_placeholder" * 30)[:255]

#: Path of the text file in a generation that names it; not of the bundle, so no bundle may hold it.
GENERATION_MARKER = "conda-meta/airgap-generation"

FILE = "file"
LINK = "link"
DIRECTORY = "dir"
TYPES = (FILE, LINK, DIRECTORY)

TEXT = "text"
BINARY = "binary"
#: The paths that compiled Python names as those of its sources; no package records them.
BYTECODE = "bytecode"
RELOCATION_MODES = (TEXT, BINARY, BYTECODE)

CONDA_META = "conda-meta"
WHEEL_RECORD = "wheel-record"
RENEWALS = (CONDA_META, WHEEL_RECORD)

Relocations = t.Tuple[t.Tuple[str, str], ...]

#: Bytes of a file list: of a million files. What is larger is not read.
SIZE_MAX = 1 << 28

#: Bytes of a path, and of what stands between two slashes, that Linux takes.
PATH_MAX = 4095
_PART_MAX = 255

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: What the header of bytecode has room for.
#: A part of a path that is no name.
_STRAYING = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)")
_MTIME_END = 1 << 32
_SIZE_END = 1 << 62


class Entry(t.NamedTuple):
    """One file, link or empty directory, as it lies in the bundle (placeholders, not prefixes)."""

    path: str
    type: str
    mode: int = 0o644
    size: int = 0
    sha256: str = ""
    target: str = ""
    mtime: int = EPOCH
    #: What must be replaced by the prefix: (placeholder, 'text', 'binary' or 'bytecode'); for a link, in its target.
    relocations: Relocations = ()
    #: How this file states digests of others, which change with relocation: see M(renewal); or empty.
    renews: str = ""


def entry_line(entry: Entry) -> str:
    """Return the canonical line of *entry*, without the line break."""
    fields: dict[str, t.Any] = {"path": entry.path, "type": entry.type}
    if entry.type == FILE:
        fields.update(mode=f"{entry.mode:04o}", size=entry.size, sha256=entry.sha256)
        if entry.mtime != EPOCH:
            fields["mtime"] = entry.mtime
    elif entry.type == LINK:
        fields["target"] = entry.target
    if entry.relocations:
        fields["relocate"] = entry.relocations
    if entry.renews:
        fields["renew"] = entry.renews
    return _CANONICAL.encode(fields)


def sort_key(entry: Entry) -> bytes:
    """Order of entries in list and archive: the bytes of the path."""
    return entry.path.encode("utf-8", "surrogateescape")


def render_files(entries: t.Iterable[Entry]) -> bytes:
    """Return the canonical file list of *entries*."""
    return "".join(entry_line(entry) + "\n" for entry in sorted(entries, key=sort_key)).encode("ascii")


def content_id_of(files: bytes) -> str:
    """Return the content id (hex) of a canonical file list."""
    return hashlib.sha256(files).hexdigest()


def pack_files(files: bytes, level: int = 6) -> bytes:
    """Return *files* as gzip, equal for equal bytes, levels and zlib."""
    compressor = zlib.compressobj(level, wbits=31)
    return compressor.compress(files) + compressor.flush()


def unpack_files(packed: bytes) -> bytes:
    """Return the file list in *packed*; C(BundleError) where it is damaged or larger than any environment's."""
    decompressor = zlib.decompressobj(wbits=31)
    try:
        files = decompressor.decompress(packed, SIZE_MAX)
    except zlib.error as error:
        raise BundleError(f"the file list is damaged ({error}); copy the bundle again") from None
    if decompressor.unconsumed_tail or not decompressor.eof or decompressor.unused_data:
        reason = f"more than {SIZE_MAX} bytes" if decompressor.unconsumed_tail else "it does not end where it should"
        raise BundleError(f"the file list is damaged ({reason}); copy the bundle again")
    return files


def parse_files(files: bytes, known: t.Mapping[bytes, Entry] = MappingProxyType({})) -> list[Entry]:
    """Parse a file list; raise C(BundleError) for anything that M(render_files) would not have written.

    *known*: entries by line, of a list that was parsed before; most of a newer list are in the older one.
    """
    lines, entries = files.splitlines(), []
    try:
        fields = iter(_fields([line for line in lines if line not in known]))
        for line in lines:
            # Their number is told.
            entries.append(known.get(line) or _checked(_entry(next(fields))))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"the file list is damaged at line {len(entries) + 1}: {error}") from None
    check_paths(entries)
    rendered = (line if line in known else entry_line(entry).encode("ascii") for line, entry in zip(lines, entries))
    if sorted(entries, key=sort_key) != entries or b"".join(b"%b\n" % line for line in rendered) != files:
        raise BundleError("the file list is not as it was packed; copy the bundle again")
    return entries


def entries_by_line(files: bytes) -> dict[bytes, Entry]:
    """Return the entries by line of a file list that M(parse_files) took before, as its content id tells."""
    lines = files.splitlines()
    return dict(zip(lines, map(_entry, _fields(lines))))


def _fields(lines: t.Sequence[bytes]) -> t.Iterable[t.Any]:
    """Return what each line holds: read at once, in half the time, or one by one where one cannot be read."""
    try:
        found = json.loads(b"[%b]" % b",".join(lines))
    except (ValueError, RecursionError):
        found = []
    return found if len(found) == len(lines) else map(json.loads, lines)


def _entry(fields: dict[str, t.Any]) -> Entry:
    return Entry(
        path=fields["path"],
        type=fields["type"],
        mode=int(fields.get("mode", "0644"), 8),
        size=fields.get("size", 0),
        sha256=fields.get("sha256", ""),
        target=fields.get("target", ""),
        mtime=fields.get("mtime", EPOCH),
        relocations=tuple((placeholder, mode) for placeholder, mode in fields.get("relocate", ())),
        renews=fields.get("renew", ""),
    )


def is_a(value: t.Any, kind: type) -> bool:
    """Whether a value that was read is of *kind*; to C(isinstance) a truth value is a number as well."""
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def _checked(entry: Entry) -> Entry:
    """Return *entry*; C(ValueError) where it describes nothing that can lie below a prefix."""
    for text in (entry.path, entry.target, entry.sha256, *(placeholder for placeholder, _mode in entry.relocations)):
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is no text")
        if not text.isascii():
            # A name that no file system can hold is a ValueError here.
            text.encode("utf-8", "surrogateescape")
    if entry.type not in TYPES:
        raise ValueError(f"unknown type {entry.type!r}")
    if entry.mode & ~0o777:
        raise ValueError(f"{entry.path!r} asks for mode {entry.mode:04o}; set-uid, set-gid and sticky are not carried")
    if entry.type == FILE and not (
        _DIGEST.fullmatch(entry.sha256) and is_a(entry.size, int) and 0 <= entry.size < _SIZE_END
    ):
        raise ValueError(f"{entry.path!r} has no digest or size")
    if not is_a(entry.mtime, int) or not 0 <= entry.mtime < _MTIME_END:
        raise ValueError(f"{entry.path!r} has no mtime")
    if entry.type == LINK and (not entry.target or "\0" in entry.target):
        raise ValueError(f"{entry.path!r} has no target")
    if any(mode not in RELOCATION_MODES or not placeholder for placeholder, mode in entry.relocations):
        raise ValueError(f"{entry.path!r} has an unknown relocation")
    if entry.renews not in ("", *RENEWALS):
        raise ValueError(f"{entry.path!r} has an unknown renewal {entry.renews!r}")
    return entry


def path_fault(path: str) -> str | None:
    """Return why *path* cannot lie under a prefix, or None."""
    if not path or path.startswith("/") or "\0" in path:
        return "is not a relative path"
    if _STRAYING.search(path):
        return "does not stay below the prefix"
    name = path.encode("utf-8", "surrogateescape")
    if len(name) > _PART_MAX and (len(name) > PATH_MAX or any(len(part) > _PART_MAX for part in name.split(b"/"))):
        return "is longer than file systems hold"
    if path == GENERATION_MARKER or path.startswith(f"{GENERATION_MARKER}/"):
        return "is ours"
    return None


def link_fault(path: str, target: str) -> str | None:
    """Return why a link at *path* to *target* leaves the prefix, or None; absolute targets carry the placeholder."""
    if target.startswith(PLACEHOLDER):
        depth, rest = 0, target[len(PLACEHOLDER) :]
        if rest and not rest.startswith("/"):
            return "leaves the prefix"
    elif target.startswith("/"):
        return None  # names a place of the host (such as /etc/localtime); it is carried as the package has it
    else:
        depth, rest = path.count("/"), target
    for part in rest.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return "leaves the prefix"
    return None


def source_of_bytecode(path: str) -> str | None:
    """Return the path of the source of a C(.pyc) in __pycache__ (PEP 3147), or None."""
    directory, name = path.rpartition("/")[::2]
    if not name.endswith(".pyc") or not (directory == "__pycache__" or directory.endswith("/__pycache__")):
        return None
    return f"{directory[: -len('__pycache__')]}{name.split('.')[0]}.py"


def check_paths(entries: t.Sequence[Entry]) -> None:
    """Raise C(BundleError) unless *entries* describe one tree below one prefix."""
    seen: set[str] = set()
    trees: set[str] = set()
    leaves: set[str] = set()
    for entry in entries:
        fault = path_fault(entry.path)
        if fault is None and entry.type == LINK:
            fault = link_fault(entry.path, entry.target)
        if fault is None and entry.path in seen:
            fault = "is listed twice"
        if fault:
            raise BundleError(f"the file list is not usable: {entry.path!r} {fault}")
        seen.add(entry.path)
        if entry.type != DIRECTORY:
            leaves.add(entry.path)
        for parent in parents(entry.path):
            if parent in trees:
                # And so are those above it.
                break
            trees.add(parent)
    if trees & leaves:
        raise BundleError(f"the file list is not usable: {min(trees & leaves)!r} is a file and a directory")


def parents(path: str) -> t.Iterator[str]:
    """Yield the directories above *path*, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
