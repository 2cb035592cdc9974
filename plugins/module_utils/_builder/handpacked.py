# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Archives packed by hand with conda-pack: a bundle is derived from one, and its defects are found.

The bundle is that which packing the environment itself would give, as far as the archive still tells. Read twice, with
memory flat: first names and metadata (M(contents)), then every file, on its way into the bundle's archive.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import canonical, defects
from ansible_collections.airgap.conda.plugins.module_utils._builder.archive import ArchiveWriter
from ansible_collections.airgap.conda.plugins.module_utils._builder.carriers import unpack_script
from ansible_collections.airgap.conda.plugins.module_utils._builder.contents import (
    Contents,
    builder_prefix,
    fixed_prefix,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.installed import installed_packages
from ansible_collections.airgap.conda.plugins.module_utils._builder.needs import needs_of
from ansible_collections.airgap.conda.plugins.module_utils._builder.originals import Originals
from ansible_collections.airgap.conda.plugins.module_utils._builder.packing import (
    bytecode_placeholders,
    bytecode_time,
    canonical_mode,
    write_file_list,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.sources import stays
from ansible_collections.airgap.conda.plugins.module_utils._builder.unpacking import read_archive
from ansible_collections.airgap.conda.plugins.module_utils._builder.watching import (
    Watch,
    chunks_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import GZIP
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import HARD_LINK, Member
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    BINARY,
    CONDA_META,
    DIRECTORY,
    FILE,
    LINK,
    PLACEHOLDER,
    TEXT,
    WHEEL_RECORD,
    Entry,
    Relocations,
    check_paths,
    content_id_of,
    link_fault,
    parents,
    render_files,
    source_of_bytecode,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import FILES_NAME, Manifest
from ansible_collections.airgap.conda.plugins.module_utils._model.renewal import Digest, Digests, renew_wheel_record

#: Grows when the same archive gives another bundle than before.
VERSION = 1

_CHUNK = 1 << 20
_SET_ID = 0o6000
_HERE: Relocations = ((PLACEHOLDER, TEXT),)
#: What conda-pack adds, kept for people with tar alone.
_ACTIVATION = ("bin/activate", "bin/activate.fish", "bin/deactivate")
#: What pip writes of a wheel and states, or is stated, anew.
_DIRECT_URL = ".dist-info/direct_url.json"
_OF_WHEELS = (".dist-info/RECORD", _DIRECT_URL)

Chunks = t.Iterable[bytes]


class Derived(t.NamedTuple):
    """The manifest of the bundle that was derived, and what people should know of the archive."""

    manifest: Manifest
    warnings: t.Tuple[str, ...]


def derive(archive: str, directory: str, name: str, platform: str, progress: Progress) -> Derived:
    """Write archive and file list of the bundle derived from *archive* into *directory*.

    *platform* counts where every package is for any. C(BundleError) names what keeps the archive from being deployed.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".metadata-", dir=directory) as scratch:
            progress.say(f"reading {archive}")
            contents = Contents(archive, scratch)
            return _Deriving(contents, scratch, progress).write(directory, name, platform)
    except OSError as error:
        raise BundleError(f"no bundle can be derived from {archive}: {error.strerror} ({error.filename})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{archive}: the metadata of its packages is damaged ({error!r}); pack it again") from None


class _Deriving:
    """One archive on its way into a bundle."""

    def __init__(self, contents: Contents, scratch: str, progress: Progress) -> None:
        self._contents = contents
        self._scratch = scratch
        self._progress = progress
        #: Without conda-unpack nothing can be relocated: it was packed for one prefix, which its programs tell.
        self.fixed = "" if contents.relocations is not None else fixed_prefix(contents.heads, contents.members)
        self.prefix = self.fixed or builder_prefix(contents.relocations or {}, contents.stated)
        self._originals = Originals(contents, self.prefix, self.fixed)
        self.defects = defects.Defects(contents.archive, self.prefix)
        self._above = {above for path in contents.members for above in parents(path)}
        #: By path, what the archive holds there: the digest (hex) of a file, the target of a link.
        self._raw: dict[str, str] = {}
        self._entries: dict[str, Entry] = {}
        self._carriers: list[Entry] = []
        #: Of sources with a package's bytecode, the time (seconds since 1970) that this was made for.
        self._times: dict[str, int] = {}

    def write(self, directory: str, name: str, platform: str) -> Derived:
        """Write all; return the manifest, its provenance left to the caller."""
        self._refuse_unknown_prefix()
        writer = _writer(directory)
        try:
            self._write(writer)
            entries = self._finished()
            self._write_unpack(writer, entries)
            encoding = writer.close()
        except BaseException:
            writer.abandon()
            raise
        files = render_files(entries)
        wheels = [text.decode("utf-8", "replace") for _path, text in self._contents.texts(".dist-info/WHEEL")]
        manifest = Manifest(
            name=name,
            content_id=content_id_of(files),
            needs=needs_of(entries, self._contents.records, wheels, platform)._replace(prefix=self.fixed),
            files=write_file_list(os.path.join(directory, FILES_NAME), files),
            tar_sha256=writer.tar_sha256.hexdigest(),
            tar_size=writer.tar_size,
            encodings=(encoding,),
            packages=installed_packages(self._contents.metadata),
            carriers=tuple(entry.path for entry in self._carriers),
        )
        return Derived(manifest, tuple(self.defects.warnings()))

    def _refuse_unknown_prefix(self) -> None:
        """Raise C(BundleError) where files were made to fit a prefix that nothing tells."""
        relocated = any("prefix_placeholder" in stated for stated in self._contents.stated.values())
        if self._contents.relocations is None and not self.fixed and relocated:
            raise BundleError(
                f"{self._contents.archive} has no bin/conda-unpack, and nothing in it tells for which prefix it was"
                " packed; pack it again, without --dest-prefix"
            )

    def _write(self, writer: ArchiveWriter) -> None:
        done, total = 0, sum(member.size for member in self._contents.members.values())
        for member, data in read_archive(self._contents.archive):
            if member.name.startswith(self._contents.root):
                self._take(writer, member._replace(name=self._contents.below(member.name)), data)
            done += member.size
            self._progress.size("deriving a bundle", done, total)
        self._write_stating(writer)

    # --- members --------------------------------------------------------------------------------------------------

    def _take(self, writer: ArchiveWriter, member: Member, data: t.Iterator[bytes]) -> None:
        path = member.name
        if path in self._raw:
            self._compare(member, data)
        elif not path or not self._originals.travels(path):
            self._raw[path] = ""
        elif member.type == DIRECTORY:
            self._raw[path] = DIRECTORY
            if path not in self._above:
                self._put(writer, Entry(path, DIRECTORY, mode=0o755), ())
        elif member.type == LINK:
            self._raw[path] = member.target
            self._put(writer, self._link(path, member.target), ())
        elif member.type == FILE or member.size:
            self._take_file(writer, member, data)
        # Other hard links came with the file that they are to.

    def _compare(self, member: Member, data: t.Iterator[bytes]) -> None:
        """Note a path that is there again, unless it is the same, or what conda-pack put over a package's own."""
        path, known = member.name, self._raw[member.name]
        if not known or known == self._originals.promised(path) or known == DIRECTORY == member.type:
            return
        found = member.target if member.type == LINK else digested(data).sha256
        if found != known and member.type != HARD_LINK:
            self.defects.add(defects.TWICE, path)

    def _link(self, path: str, target: str) -> Entry:
        inside = self.prefix and canonical.prefix_pattern(self.prefix).match(target.encode("utf-8", "surrogateescape"))
        moved = PLACEHOLDER + target[len(self.prefix) :] if inside else target
        fault = link_fault(path, moved)
        if fault:
            raise BundleError(f"{self._contents.archive} holds {path!r}, which {fault}; it is refused")
        if moved.startswith(PLACEHOLDER):
            return Entry(path, LINK, target=moved, relocations=_HERE)
        if moved.startswith("/"):
            self.defects.add(defects.OUTSIDE, path)
        return Entry(path, LINK, target=moved)

    def _take_file(self, writer: ArchiveWriter, member: Member, data: t.Iterator[bytes]) -> None:
        twins = self._contents.twins.get(member.name, ())
        paths = [member.name, *(path for path in twins if self._originals.travels(path))]
        if member.mode & _SET_ID:
            self.defects.add(defects.SET_UID, member.name)
        if len(paths) == 1 and not self._originals.is_rewritten(member.name):
            self._put_file(writer, member, data)
            self._raw[member.name] = self._entries[member.name].sha256 if member.name in self._entries else ""
            return
        with tempfile.SpooledTemporaryFile(_CHUNK, dir=self._scratch) as spool:
            for chunk in data:
                spool.write(chunk)
            digest = digested(chunks_of(spool)).sha256
            for path in paths:
                self._raw[path] = digest
                size = sum(map(len, self._originals.read(path, spool, digest)))
                self._put_file(writer, member._replace(name=path, size=size), self._originals.read(path, spool, digest))

    # --- files ----------------------------------------------------------------------------------------------------

    def _put_file(self, writer: ArchiveWriter, member: Member, data: Chunks) -> None:
        path = member.name
        entry = Entry(path, FILE, canonical_mode(member.mode), member.size)
        if self._comes_last(path):
            self._entries[path] = entry
        elif path in _ACTIVATION and path not in self._contents.owners:
            self._carriers.append(entry._replace(mode=0o755))
            writer.add(self._carriers[-1], data)
        elif path.endswith(".pyc"):
            self._put_bytecode(writer, entry, b"".join(data))
        else:
            records = self._originals.records(path)
            watch = Watch(records, "" if self.fixed else self.prefix)
            self._put(writer, entry, watch.over(data))
            known = {old: mode for old, mode in records.items() if old in watch.found}
            if self._originals.stated(path).get("path_type") == "softlink":
                # A zip has copies for links, of which no record says how their placeholder is to be replaced.
                known.update(dict.fromkeys(watch.placeholders, BINARY if watch.is_binary else TEXT))
            self._entries[path] = self._entries[path]._replace(relocations=tuple(known.items()))
            self._judge_file(path, watch)

    def _put_bytecode(self, writer: ArchiveWriter, entry: Entry, text: bytes) -> None:
        source, time = source_of_bytecode(entry.path), bytecode_time(text[:16])
        if source in self._contents.members and time is not None:
            self._times[source] = time
        self._put(writer, entry._replace(relocations=bytecode_placeholders(text)), (text,))

    def _put(self, writer: ArchiveWriter, entry: Entry, data: Chunks) -> None:
        digest = writer.add(entry, data)
        self._entries[entry.path] = entry._replace(sha256=digest) if entry.type == FILE else entry

    def _judge_file(self, path: str, watch: Watch) -> None:
        """Note what keeps a file from working on a host, unless it is just what its package holds."""
        if self._entries[path].sha256 == self._originals.promised(path):
            return
        if watch.names_prefix:
            self.defects.add(defects.BUILDER, path)
        elif watch.placeholders.difference(dict(self._entries[path].relocations)):
            self.defects.add(defects.PLACEHOLDER, path)

    # --- what comes last ------------------------------------------------------------------------------------------

    def _comes_last(self, path: str) -> bool:
        """Whether the file states digests of others, or tells when it was made."""
        if path == "conda-meta/history" or self._is_record(path):
            return True
        return path.endswith(_OF_WHEELS) and path not in self._contents.owners

    @staticmethod
    def _is_record(path: str) -> bool:
        return path.startswith("conda-meta/") and path.endswith(".json") and path.count("/") == 1

    def _write_stating(self, writer: ArchiveWriter) -> None:
        files = {path: entry for path, entry in self._entries.items() if entry.type == FILE}
        relocated = {path: Digest(entry.sha256, entry.size) for path, entry in files.items() if entry.relocations}
        stated = self._originals.stated
        others = {path for path, entry in files.items() if stated(path).get("sha256") not in (None, entry.sha256)}
        digests = {**relocated, **{path: Digest(files[path].sha256, files[path].size) for path in others}}
        records = {record.path: record.data for record in self._contents.records}
        packed = {path for path in self._entries if self._entries[path].type != DIRECTORY}
        # What a wheel's RECORD states comes before it.
        for path in sorted(filter(self._comes_last, self._entries), key=lambda path: not path.endswith(_DIRECT_URL)):
            text, entry = self._contents.text(path) or b"", self._entries[path]
            if path.endswith(_DIRECT_URL):
                text = canonical.direct_url(text)
                self._put(writer, entry._replace(size=len(text)), (text,))
                relocated[path] = digests[path] = Digest(self._entries[path].sha256, len(text))
                continue
            if path in records:
                text, entry = canonical.conda_meta(records[path], packed, digests), entry._replace(renews=CONDA_META)
            elif path == "conda-meta/history":
                text = canonical.history(text)
            else:
                text, entry = self._wheel_record(path, text, relocated), entry._replace(renews=WHEEL_RECORD)
            relocations = _HERE if PLACEHOLDER.encode() in text and not self.fixed else ()
            self._put(writer, entry._replace(size=len(text), relocations=relocations), (text,))

    def _wheel_record(self, path: str, text: bytes, digests: Digests) -> bytes:
        for stated, digest in defects.stated_by_record(path, text):
            entry = self._entries.get(stated)
            if (
                entry
                and not entry.relocations
                and stated in self._contents.owners
                and defects.in_record(entry.sha256) != digest
            ):
                self.defects.add(defects.REPLACED, stated)
        if self._originals.names_builder(path):
            text = b"".join(canonical.to_placeholder((text,), self.prefix))
        return renew_wheel_record(canonical.wheel_record(text), path, digests)

    # --- the end --------------------------------------------------------------------------------------------------

    def _finished(self) -> list[Entry]:
        """Return all entries; C(BundleError) with every defect that keeps them from being deployed."""
        for path, stated in self._contents.stated.items():
            named = self.defects.known(defects.BUILDER, path)
            if path in self._entries and not named and self._is_altered(path, stated):
                self.defects.add(defects.ALTERED, path)
        for path in self._contents.owners:
            if path not in self._contents.members and not path.endswith(".pyc") and not stays(path):
                self.defects.add(defects.ABSENT, path)
        inside = [prefix for prefix in (self.prefix, PLACEHOLDER) if prefix]
        for suffix in (".pth", ".egg-link", "direct_url.json"):
            for path, text in self._contents.texts(suffix):
                if defects.is_editable(path, text, inside):
                    self.defects.add(defects.EDITABLE, path)
        self.defects.refuse()
        entries = [
            entry._replace(mtime=self._times[path]) if path in self._times else entry
            for path, entry in self._entries.items()
        ]
        check_paths(entries)
        return entries

    def _is_altered(self, path: str, stated: t.Mapping[str, t.Any]) -> bool:
        """Whether a file is neither its package's nor what conda made of it in the prefix it was packed from."""
        entry, relocated = self._entries[path], bool(stated.get("prefix_placeholder"))
        if entry.type != FILE or not self._originals.promised(path):
            return False
        if self.fixed and relocated:
            return False
        in_prefix = stated.get("sha256_in_prefix") if stated.get("file_mode") != BINARY else None
        return entry.sha256 != self._originals.promised(path) and self._raw[path] != in_prefix

    def _write_unpack(self, writer: ArchiveWriter, entries: t.Sequence[Entry]) -> None:
        """Add C(conda-unpack) for people with tar alone, where anything is to be relocated and can be."""
        if self.fixed or "bin/python" not in self._entries:
            return
        text = unpack_script(entries)
        self._carriers.append(Entry("bin/conda-unpack", FILE, mode=0o755, size=len(text)))
        writer.add(self._carriers[-1], (text,))


def _writer(directory: str) -> ArchiveWriter:
    """Return a writer of zstd, or where its library is missing, as on many controllers, one of gzip."""
    if importlib.util.find_spec("zstandard"):
        return ArchiveWriter(os.path.join(directory, "archive.tar.zst"))
    return ArchiveWriter(os.path.join(directory, "archive.tar.gz"), GZIP)
