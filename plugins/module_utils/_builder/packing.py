# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Pack: any conda environment prefix becomes an archive, its canonical file list and what a manifest says of it."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import canonical, editables
from ansible_collections.airgap.conda.plugins.module_utils._builder.archive import ArchiveWriter
from ansible_collections.airgap.conda.plugins.module_utils._builder.carriers import carriers
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import Record, read_records
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import (
    Leak,
    LeakRules,
    Watch,
    home_here,
    is_exempt,
    judged,
    login_here,
    names,
    traces,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.needs import needs_of
from ansible_collections.airgap.conda.plugins.module_utils._builder.sources import Source, scan
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    BYTECODE,
    CONDA_META,
    DIRECTORY,
    FILE,
    LINK,
    PLACEHOLDER,
    TEXT,
    WHEEL_RECORD,
    Entry,
    Relocations,
    content_id_of,
    render_files,
    source_of_bytecode,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import (
    FILES_NAME,
    Manifest,
    Piece,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.renewal import Digest, renew_wheel_record

ARCHIVE_NAME = "archive.tar.zst"

REFUSE_LEAKS = LeakRules()

_DIRECT_URL = ".dist-info/direct_url.json"

_CHUNK = 1 << 20

#: As conda-build makes them: a directory name filled up to the length of a placeholder.
_PLACEHOLDER_WORD = re.compile(rb"_placehold(?:er)?(?:_[a-z]*)*(?=/)")
_PATH_BEFORE = re.compile(rb"/[!-~]*\Z")
_PLACEHOLDER_MAX = 255

Chunks = t.Iterable[bytes]


class Member(t.NamedTuple):
    """What is packed at a path: an entry still without digest, and how to read its bytes."""

    entry: Entry
    read: t.Callable[[], Chunks]
    #: The digest (hex) that its package promises, or empty.
    promised: str = ""
    #: Whether its bytes are not those in the environment, though they do not name its prefix.
    rewritten: bool = False


class Packing:
    """One run over one prefix."""

    def __init__(self, prefix: str, progress: Progress, rules: LeakRules = REFUSE_LEAKS) -> None:
        self.prefix = os.path.abspath(prefix)
        self._progress = progress
        self._rules = rules
        self.records = read_records(self.prefix)
        self.sources, self._lost = scan(self.prefix, self.records, lambda path: digested(read(path)).sha256)
        #: All that names the builder, the exempt too; known after packing.
        self.leaks: tuple[Leak, ...] = ()
        self._packed = {source.path for source in self.sources}
        #: Of sources whose package ships bytecode: the time (seconds since 1970) it was made for.
        self._times: dict[str, int] = {}
        self._stated = {
            path["_path"]: path
            for record in self.records
            for path in (record.data.get("paths_data") or {}).get("paths", ())
            if path["_path"] not in self._lost.get(record.path, ())
        }

    # --- what is packed -------------------------------------------------------------------------------------------

    def members(self) -> list[Member]:
        """Return what is packed, in order; texts that state digests come after those digests are known."""
        digests: dict[str, Digest] = {}
        members = {source.path: self._member(source) for source in self.sources}
        self._refuse_altered()
        for path, member in members.items():
            if member.rewritten or (member.entry.relocations and member.entry.type == FILE):
                known = member.promised and Digest(member.promised, member.entry.size)
                digests[path] = known or digested(member.read())
        metadata = {record.path: record for record in self.records}
        for path, member in members.items():
            text = self._stating(member, metadata.get(path), digests)
            if text is not None:
                members[path] = self._of_text(member.entry, text)
        return [members[source.path] for source in self.sources]

    def _stating(self, member: Member, record: Record | None, digests: dict[str, Digest]) -> bytes | None:
        """Return the canonical text of a file that states digests of others, or tells when; None for other files."""
        path, renews = member.entry.path, member.entry.renews
        if record is not None:
            lost = self._lost.get(record.path)
            return canonical.conda_meta(record.data, self._packed - lost if lost else self._packed, digests)
        if renews == WHEEL_RECORD:
            return renew_wheel_record(canonical.wheel_record(b"".join(member.read())), path, digests)
        if path == "conda-meta/history":
            return canonical.history(b"".join(member.read()))
        return None

    @staticmethod
    def _of_text(entry: Entry, text: bytes) -> Member:
        return Member(entry._replace(size=len(text)), lambda: (text,))

    def _member(self, source: Source) -> Member:
        try:
            status = os.lstat(source.origin)
        except FileNotFoundError:
            raise PackError(
                f"{source.origin} is missing; if it is the package cache's, empty that and build again"
            ) from None
        if stat.S_ISLNK(status.st_mode):
            return Member(self._link(source), tuple)
        if stat.S_ISDIR(status.st_mode):
            return Member(Entry(source.path, DIRECTORY, mode=0o755), tuple)
        if not stat.S_ISREG(status.st_mode):
            raise PackError(
                f"{source.origin} is neither a file, a link nor a directory; take it out of the environment"
            )
        entry = Entry(
            source.path,
            FILE,
            mode=canonical_mode(status.st_mode),
            size=status.st_size,
            relocations=source.relocations,
            renews=_renewal_of(source),
        )
        if source.managed and source.path.endswith(".pyc"):
            entry = entry._replace(relocations=self._bytecode(source))
        if source.managed:
            return Member(entry, lambda: read(source.origin), self._stated.get(source.path, {}).get("sha256") or "")
        return self._unmanaged(source, entry)

    def _bytecode(self, source: Source) -> Relocations:
        """Return what a package's C(.pyc) names, and note the time its source must carry for it to stay valid."""
        # Whole, as the largest have a few MB.
        text = b"".join(read(source.origin))
        origin, time = source_of_bytecode(source.path), bytecode_time(text[:16])
        if origin in self._packed and time is not None:
            self._times[origin] = time
        return bytecode_placeholders(text)

    def _link(self, source: Source) -> Entry:
        target = os.readlink(source.origin)
        inside = canonical.prefix_pattern(self.prefix).match(os.fsencode(target))
        if inside is None:
            return Entry(source.path, LINK, target=target)
        moved = PLACEHOLDER + target[len(self.prefix) :]
        return Entry(source.path, LINK, target=moved, relocations=((PLACEHOLDER, TEXT),))

    def _unmanaged(self, source: Source, entry: Entry) -> Member:
        """Return what a file that no conda package owns is packed as; refuse a binary that names the builder."""
        if source.path.endswith(_DIRECT_URL):
            text = canonical.direct_url(b"".join(read(source.origin)))
            return Member(entry._replace(size=len(text)), lambda: (text,), rewritten=True)
        if editables.leads(source.path):
            self._refuse_editable(source)
        if not names(read(source.origin), self.prefix):
            return Member(entry, lambda: read(source.origin))
        if any(b"\0" in chunk for chunk in read(source.origin)):
            if is_exempt(source.path, self._rules):
                return Member(entry, lambda: read(source.origin))
            raise PackError(
                f"{source.path} is a binary that names {self.prefix} and belongs to no conda package, so it cannot be"
                " relocated; install it from a conda package or from a wheel that does not hold its path"
            )
        relocations: Relocations = ((PLACEHOLDER, TEXT),)

        def converted() -> Chunks:
            plain = canonical.plain_shebang(read(source.origin), self.prefix)
            return canonical.to_placeholder(plain, self.prefix)

        return Member(entry._replace(size=digested(converted()).size, relocations=relocations), converted)

    # --- refusals -------------------------------------------------------------------------------------------------

    def _refuse_editable(self, source: Source) -> None:
        directory = editables.outside(b"".join(read(source.origin)), self.prefix)
        if directory and not is_exempt(source.path, self._rules):
            raise PackError(
                f"{source.path} leads to {directory}, outside of the environment, as editable installs do; install a"
                " wheel instead, or name the file in the exempt of leaks if hosts have that directory"
            )

    def _refuse_altered(self) -> None:
        """Raise C(PackError) when a managed file in the prefix is not what its package put there (pip over conda)."""
        altered: dict[str, list[str]] = {}
        owners = {path: record.data["name"] for record in self.records for path in record.data.get("files", ())}
        for source in self.sources:
            expected = self._stated.get(source.path, {})
            installed = os.path.join(self.prefix, source.path)
            if source.managed and expected.get("path_type") != "softlink" and not same_file(source.origin, installed):
                digest = expected.get("sha256_in_prefix") or expected.get("sha256")
                if digest and digested(read(installed)).sha256 != digest:
                    altered.setdefault(owners.get(source.path, "?"), []).append(source.path)
        if altered:
            named = "; ".join(
                f"{name}: {paths[0]} and {len(paths) - 1} more" for name, paths in sorted(altered.items())
            )
            raise PackError(
                f"files of conda packages were changed after they were installed ({named}); if pip brought a package"
                " that conda has too, ask for it in one place only and build again"
            )

    # --- packing --------------------------------------------------------------------------------------------------

    def content_id(self) -> str:
        """Return the content id that packing would give, writing nothing."""
        return content_id_of(render_files(self._write(Digester(), self.members())))

    def pack(self, directory: str, name: str, platform: str) -> Manifest:
        """Write archive and file list into *directory* and return the manifest, its provenance left to the caller."""
        members = self.members()
        archive = ArchiveWriter(os.path.join(directory, ARCHIVE_NAME))
        try:
            entries = self._write(archive, members)
            extra = carriers(entries)
            for carrier in extra:
                archive.add(carrier.entry, (carrier.text,))
            encoding = archive.close()
        except BaseException:
            archive.abandon()
            raise
        files = render_files(entries)
        return Manifest(
            name=name,
            content_id=content_id_of(files),
            needs=needs_of(entries, self.records, self._wheels(), platform),
            files=write_file_list(os.path.join(directory, FILES_NAME), files),
            tar_sha256=archive.tar_sha256.hexdigest(),
            tar_size=archive.tar_size,
            encodings=(encoding,),
            packages=(),
            carriers=tuple(carrier.entry.path for carrier in extra),
        )

    def _write(self, archive: Sink, members: t.Sequence[Member]) -> list[Entry]:
        entries = []
        total, done = sum(member.entry.size for member in members), 0
        watch = Watch(traces(self.prefix, self.records, home_here(), login_here()))
        for member in members:
            entry = member.entry
            if entry.path in self._times:
                entry = entry._replace(mtime=self._times[entry.path])
            digest = archive.add(entry, watch.over(entry, member.read()))
            if member.promised and digest != member.promised:
                raise PackError(f"{entry.path} is damaged in the package cache; empty the cache and build again")
            entries.append(entry._replace(sha256=digest) if entry.type == FILE else entry)
            done += entry.size
            self._progress.size("packing", done, total)
        self.leaks = tuple(watch.leaks)
        judged(self.leaks, self._rules)
        return entries

    def _wheels(self) -> t.Iterator[str]:
        for source in self.sources:
            if source.path.endswith(".dist-info/WHEEL"):
                yield b"".join(read(source.origin)).decode("utf-8", "replace")


class Sink(t.Protocol):
    """What members are written to."""

    def add(self, entry: Entry, chunks: Chunks) -> str:
        """Take *entry* and its bytes; return their sha256 (hex)."""


class Digester:
    """A sink that keeps nothing."""

    def add(self, entry: Entry, chunks: Chunks) -> str:
        """Return the sha256 (hex) of *chunks*."""
        return digested(chunks).sha256


def read(path: str) -> t.Iterator[bytes]:
    """Yield the bytes of the file at *path*."""
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def same_file(one: str, other: str) -> bool:
    """Whether two paths are one inode, so that neither can differ."""
    first, second = os.lstat(one), os.lstat(other)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def canonical_mode(mode: int) -> int:
    """Return *mode* as the owner has it, group and others likewise but for writing: no umask changes that."""
    owner = mode & 0o700
    return owner | (owner & 0o500) >> 3 | (owner & 0o500) >> 6


def bytecode_placeholders(text: bytes) -> Relocations:
    """Return the placeholders that a package's C(.pyc) names, which conda-build leaves out of its records."""
    found = {path.decode() for path in _placeholder_paths(text)}
    return tuple((placeholder, BYTECODE) for placeholder in sorted(found))


def _placeholder_paths(data: bytes) -> t.Iterator[bytes]:
    # From the word backwards: looking for it from every slash takes many times longer.
    for word in _PLACEHOLDER_WORD.finditer(data):
        begins = _PATH_BEFORE.search(data, max(0, word.start() - _PLACEHOLDER_MAX), word.start())
        if begins:
            yield data[begins.start() : word.end()]


def bytecode_time(head: bytes) -> int | None:
    """Return the source's time (seconds) from the first 16 bytes of a timestamp C(.pyc), else None (PEP 552)."""
    if len(head) < 16 or head[4:8] != b"\0\0\0\0":
        return None
    return int.from_bytes(head[8:12], "little")


def _renewal_of(source: Source) -> str:
    if source.path.startswith("conda-meta/") and source.path.endswith(".json"):
        return CONDA_META
    if not source.managed and source.path.endswith(".dist-info/RECORD"):
        return WHEEL_RECORD
    return ""


def write_file_list(path: str, files: bytes) -> Piece:
    """Write a canonical file list to *path*, compressed."""
    # No name and no time in the header, so that equal lists give equal bytes.
    packed = gzip.compress(files, 6, mtime=0)
    with open(path, "xb") as file:
        file.write(packed)
    return Piece(FILES_NAME, len(packed), hashlib.sha256(packed).hexdigest())
