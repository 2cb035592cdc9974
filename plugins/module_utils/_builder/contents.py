# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What an archive packed by hand holds: its names, its metadata and how its scripts begin, read in one pass.

Read first, as what must be known of every file (records of conda-unpack, conda's metadata) comes last in an archive.
"""

from __future__ import annotations

import ast
import json
import os
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import Record, read_records
from ansible_collections.airgap.conda.plugins.module_utils._builder.unpacking import read_archive
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import HARD_LINK, Member
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import FILE, Relocations

#: Bytes of metadata kept beside an archive while it is read, of one file and of all; far more than any has.
_TEXT_MAX = 1 << 26
_TEXTS_MAX = 1 << 29

_METADATA = re.compile(
    r"(?:^|.*/)(?:conda-meta/(?:history|[^/]+\.json)|bin/conda-unpack|[^/]+\.(?:pth|egg-link)"
    r"|[^/]+\.dist-info/(?:METADATA|WHEEL|RECORD|INSTALLER|direct_url\.json))"
)
_CONDA_META = re.compile(r"((?:.*/)?)conda-meta/[^/]+\.json")
#: Whose first bytes tell for which prefix an archive was packed.
_TELLING = re.compile(r"(?:^|.*/)(?:bin/[^/]+|lib/pkgconfig/[^/]+\.pc)")
_HEAD = 4096

#: In conda-pack's conda-unpack, and in ours: where records begin, and one of them.
_RECORDS = b"_prefix_records = ["
_OUR_RECORDS = re.compile(rb"^RECORDS = json\.loads\((.*)\)$", re.MULTILINE)


class Contents:
    """What reading names and metadata told; metadata files lie below C(metadata), at their paths in the environment."""

    def __init__(self, archive: str, directory: str) -> None:
        self.archive = archive
        #: By path, as the archive holds it first.
        self.members: dict[str, Member] = {}
        #: By file, what is hard-linked to it.
        self.twins: dict[str, list[str]] = {}
        self._originals: dict[str, str] = {}
        #: By path, how programs and descriptions of libraries begin.
        self.heads: dict[str, bytes] = {}
        self._read(directory)
        self.root = self._find_root()
        self._move_to_root()
        self.metadata = os.path.join(directory, self.root)
        self.records: list[Record] = self._conda_records()
        #: By path, what conda-meta states of it.
        self.stated: dict[str, dict[str, t.Any]] = {}
        #: By path, the package that owns it.
        self.owners: dict[str, str] = {}
        self._take_records()
        script = self.text("bin/conda-unpack")
        #: By path, what conda-unpack would replace; None where the archive has none.
        self.relocations = None if script is None else unpack_records(script)

    def below(self, name: str) -> str:
        """Return the path in the environment of the member *name*."""
        return name[len(self.root) :]

    def texts(self, suffix: str) -> t.Iterator[tuple[str, bytes]]:
        """Yield path and bytes of each metadata file whose path ends with *suffix*, in order."""
        for path in sorted(self.members):
            if path.endswith(suffix) and _METADATA.fullmatch(path) and self.members[path].type == FILE:
                yield path, self.text(path) or b""

    # --- reading --------------------------------------------------------------------------------------------------

    def _read(self, directory: str) -> None:
        kept = 0
        for member, data in read_archive(self.archive):
            known = self.members.setdefault(member.name, member)
            if member.type == HARD_LINK and not member.size and known is member:
                self._note_twin(member)
            if member.type != FILE or known is not member:
                continue
            if _METADATA.fullmatch(member.name):
                kept += member.size
                if member.size > _TEXT_MAX or kept > _TEXTS_MAX:
                    raise BundleError(f"{self.archive} holds metadata of {kept} bytes; it is refused")
                _write(os.path.join(directory, member.name), data)
            elif _TELLING.fullmatch(member.name):
                self.heads[member.name] = next(data, b"")[:_HEAD]

    def _note_twin(self, member: Member) -> None:
        original = self.members.get(member.target)
        if original is None or original.type not in (FILE, HARD_LINK):
            raise BundleError(
                f"{self.archive} holds {member.name!r}, a hard link to {member.target!r}, which is no file before it;"
                " it is refused"
            )
        first = self._originals.get(member.target, member.target)
        self._originals[member.name] = first
        self.twins.setdefault(first, []).append(member.name)

    def _find_root(self) -> str:
        """Return the directory of the archive that is the environment (C(--arcroot)), with a slash; or empty."""
        roots = {match[1] for match in map(_CONDA_META.fullmatch, self.members) if match}
        if not roots:
            raise BundleError(f"{self.archive} holds no conda environment (no conda-meta in it); pack one's prefix")
        root = min(roots, key=len)
        for name in self.members:
            if not name.startswith(root) and f"{name}/" != root[: len(name) + 1]:
                raise BundleError(f"{self.archive} holds {name!r} beside its environment, {root}; it is refused")
        return root

    def _move_to_root(self) -> None:
        size = len(self.root)
        self.members = {name[size:]: member for name, member in self.members.items() if name.startswith(self.root)}
        self.heads = {name[size:]: head for name, head in self.heads.items()}
        self.twins = {name[size:]: [twin[size:] for twin in twins] for name, twins in self.twins.items()}

    def _conda_records(self) -> list[Record]:
        try:
            return read_records(self.metadata)
        except PackError as error:
            raise BundleError(f"{self.archive}: its conda-meta is damaged ({error}); pack it again") from None

    def _take_records(self) -> None:
        try:
            for record in self.records:
                self.owners.update((path, str(record.data["name"])) for path in record.data.get("files") or ())
                for path in (record.data.get("paths_data") or {}).get("paths") or ():
                    self.stated[path["_path"]] = path
        except (KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{self.archive}: its conda-meta is damaged ({error!r}); pack it again") from None

    def text(self, path: str) -> bytes | None:
        """Return the metadata file at *path*, or None."""
        try:
            with open(os.path.join(self.metadata, path), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None


def _write(path: str, data: t.Iterable[bytes]) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        for chunk in data:
            file.write(chunk)


def unpack_records(script: bytes) -> dict[str, Relocations]:
    """Return the records of a C(conda-unpack), conda-pack's or ours, by path; nothing of it is executed."""
    ours = _OUR_RECORDS.search(script)
    try:
        if ours:
            rows = json.loads(ast.literal_eval(ours[1].decode()))
            return {path: tuple((str(old), str(mode)) for old, mode in records) for path, records in rows}
        body = script.partition(_RECORDS)[2].partition(b"\n]")[0]
        lines = (line.strip().rstrip(b",") for line in body.splitlines())
        records = (ast.literal_eval(line.decode()) for line in lines if line)
        return {str(path): ((str(old), str(mode)),) for path, old, mode in records}
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise BundleError("the records of bin/conda-unpack cannot be read; pack the environment again") from None


# --- prefixes -------------------------------------------------------------------------------------------------------

_SHEBANG = re.compile(rb"#!\s*(/[^\n]*?)/bin/([^/\s]+)")
_DETOUR = re.compile(rb"#!/bin/sh\n'''exec' \"?(/[^\n]*?)/bin/([^/\s\"]+)")
_VARIABLE = re.compile(rb"^prefix=(/[^\n]*?)/?$", re.MULTILINE)
_SYSTEM = (b"", b"/usr", b"/usr/local")


def builder_prefix(relocations: t.Mapping[str, Relocations], stated: t.Mapping[str, t.Mapping[str, t.Any]]) -> str:
    """Return the prefix that an environment was packed from: what stands in files that no package states; or empty."""
    votes: dict[str, int] = {}
    for path, records in relocations.items():
        for old, _mode in records:
            if old != stated.get(path, {}).get("prefix_placeholder") and "_placehold" not in old:
                votes[old] = votes.get(old, 0) + 1
    return max(votes, key=lambda old: (votes[old], old), default="")


def fixed_prefix(heads: t.Mapping[str, bytes], members: t.Container[str]) -> str:
    """Return the prefix that programs and libraries say they are for, as most of them do; or empty."""
    votes: dict[bytes, int] = {}
    for head in heads.values():
        variable = _VARIABLE.search(head)
        program = _DETOUR.match(head) or _SHEBANG.match(head)
        found = program[1] if program and f"bin/{os.fsdecode(program[2])}" in members else variable and variable[1]
        if found and found not in _SYSTEM:
            votes[found] = votes.get(found, 0) + 1
    return max(votes, key=lambda prefix: (votes[prefix], prefix), default=b"").decode("utf-8", "surrogateescape")
