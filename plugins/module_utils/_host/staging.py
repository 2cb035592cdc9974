# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Stage: the archive becomes a tree that carries the prefix, while it is read, and is checked against the file list.

Members are judged by the file list alone, whose paths were judged when it was parsed: what it does not name, names
twice, or names otherwise is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import DAMAGED, decoded
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested, read
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.store import write_all
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import Member, members
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Touched
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError, RelocationError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    CONDA_META,
    DIRECTORY,
    FILE,
    LINK,
    PLACEHOLDER,
    WHEEL_RECORD,
    Entry,
    parents,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.ownership import Ownership
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import RESERVE
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Item
from ansible_collections.airgap.conda.plugins.module_utils._model.relocation import relocate
from ansible_collections.airgap.conda.plugins.module_utils._model.renewal import Digest, renew

_CHUNK = 1 << 20
_DIRECTORY_MODE = 0o755
#: Bytes of a file that is not deployed; what conda-unpack has to say of a million files.
_CARRIER_MAX = 1 << 29
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """One tree being made at *root*, to be live at *prefix*, owned by *uid* and *gid*."""

    def __init__(self, root: str, prefix: str, uid: int, gid: int) -> None:
        self._root = root
        self._prefix = prefix
        self._uid = uid
        self._gid = gid
        self._owned = (uid, gid) == (os.geteuid(), os.getegid())
        #: Bytes by which relocation has made files larger.
        self._grown = 0
        self.items: dict[str, Item] = {}
        #: What another generation gave, and the inode that it got.
        self.given: dict[str, int] = {}
        self.touched = Touched()
        #: What relocation made of files that it changed.
        self.relocated: dict[str, Digest] = {}

    def extract(
        self,
        entries: t.Sequence[Entry],
        carriers: t.Container[str],
        codec: str,
        archive: t.BinaryIO,
        progress: Progress,
    ) -> None:
        """Make of *archive* all *entries* that are not there yet; C(DeployError) unless it is what the list says."""
        listed = {entry.path: entry for entry in entries}
        total, made = len(listed), len(self.given)
        passed: set[str] = set()
        try:
            # The archive is the last of the stream, which ends where it ends.
            with decoded(codec, archive) as tar:
                for member, data in members(tar):
                    if member.name in carriers:
                        _pass_over(passed, member)
                        continue
                    entry = _match(listed, member)
                    if entry.path not in self.given:
                        self.make(entry, data)
                        made += 1
                        progress.count("staging: files", made, total)
                # To the end, where the checksum of the whole is.
                if len(tar.read(_CHUNK)) == _CHUNK or tar.read(1):
                    raise ValueError("it goes on behind its end")
        except DAMAGED as error:
            raise DeployError(f"the archive is damaged ({error}); nothing was changed, copy the bundle again") from None
        lacking = sorted(listed.keys() - self.given.keys())
        if lacking:
            raise DeployError(f"the archive is incomplete: it lacks {lacking[0]!r} and {len(lacking) - 1} more")

    def rewritten(self, path: str, mode: int, mtime: int) -> None:
        """Take note that the file at *path* was written anew in the course of relocation."""
        full = self.at(path)
        os.chmod(full, mode)
        if not self._owned:
            os.chown(full, self._uid, self._gid)
        os.utime(full, (mtime, mtime))
        self.relocated[path] = digested(read(full))
        self.items[path] = self._item(path, self.relocated[path], mode)

    @property
    def owner(self) -> tuple[int, int]:
        """User and group that everything gets."""
        return self._uid, self._gid

    def at(self, path: str) -> str:
        """Return where *path* is for now."""
        # Much quicker than C(os.path.join), and asked for each file.
        return f"{self._root}/{path}"

    def lay_out(self, entries: t.Iterable[Entry], mode: int = _DIRECTORY_MODE) -> None:
        """Make the directories of *entries*; the topmost with *mode*."""
        self._make_directory("")
        os.chmod(self._root, mode)
        wanted = {parent for entry in entries for parent in parents(entry.path)}
        wanted.update(entry.path for entry in entries if entry.type == DIRECTORY)
        # Sorted, a directory comes before what it holds.
        for path in sorted(wanted):
            self._make_directory(path)
            self.items[path] = Item(path, DIRECTORY, "", 0, _DIRECTORY_MODE, self._uid, self._gid, "", False)

    def _make_directory(self, path: str) -> None:
        full = self.at(path)
        os.mkdir(full, _DIRECTORY_MODE)
        os.chmod(full, _DIRECTORY_MODE)
        if not self._owned:
            os.chown(full, self._uid, self._gid)

    def make(self, entry: Entry, data: t.Iterable[bytes] = ()) -> None:
        """Make *entry*, of a file with these *data* as the bundle has them."""
        if entry.type == FILE:
            self.items[entry.path] = self._make_file(entry, data)
        elif entry.type == LINK:
            self.items[entry.path] = self._make_link(entry)

    def _make_file(self, entry: Entry, data: t.Iterable[bytes]) -> Item:
        original = hashlib.sha256()

        def chunks() -> t.Iterator[bytes]:
            for chunk in data:
                original.update(chunk)
                yield chunk

        if not entry.relocations:
            self.write(entry.path, chunks(), entry.mode, entry.mtime)
            digest = Digest(original.hexdigest(), entry.size)
        else:
            try:
                relocated = self._within_reserve(entry, relocate(chunks(), entry.relocations, self._prefix))
                digest = self.write_hashed(entry.path, relocated, entry.mode, entry.mtime)
            except ValueError as error:
                raise RelocationError(f"{entry.path!r} cannot carry {self._prefix}: {error}") from None
            self.relocated[entry.path] = digest
        if original.hexdigest() != entry.sha256:
            raise DeployError(f"{entry.path!r} in the archive is damaged; nothing was changed, copy the bundle again")
        return self._item(entry.path, digest, entry.mode)

    def _within_reserve(self, entry: Entry, chunks: t.Iterable[bytes]) -> t.Iterator[bytes]:
        """Yield *chunks*; C(ValueError) where files grow by more than preflight has reserved."""
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if self._grown + size - entry.size > RESERVE:
                raise ValueError("files that carry it become too large")
            yield chunk
        self._grown += max(0, size - entry.size)

    def _make_link(self, entry: Entry) -> Item:
        target = entry.target.replace(PLACEHOLDER, self._prefix) if entry.relocations else entry.target
        full = self.at(entry.path)
        os.symlink(target, full)
        if not self._owned:
            os.lchown(full, self._uid, self._gid)
        return Item(entry.path, LINK, "", 0, 0o777, self._uid, self._gid, target, False)

    def _item(self, path: str, digest: Digest, mode: int) -> Item:
        return Item(path, FILE, digest.sha256, digest.size, mode, self._uid, self._gid, "", False)

    def write_hashed(self, path: str, chunks: t.Iterable[bytes], mode: int, mtime: int) -> Digest:
        """Like M(write); return what was written."""
        written, size = hashlib.sha256(), 0

        def counted() -> t.Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                written.update(chunk)
                size += len(chunk)
                yield chunk

        self.write(path, counted(), mode, mtime)
        return Digest(written.hexdigest(), size)

    def write(self, path: str, chunks: t.Iterable[bytes], mode: int, mtime: int) -> None:
        """Make a new file at *path* below the root."""
        with self.create(path, mode, mtime * 10**9) as descriptor:
            for chunk in chunks:
                write_all(descriptor, chunk)

    @contextlib.contextmanager
    def create(self, path: str, mode: int, mtime_ns: int) -> t.Iterator[int]:
        """Open a new file at *path* below the root; what it is else it gets at the end."""
        descriptor = os.open(self.at(path), _WRITE, 0o600)
        try:
            yield descriptor
            if not self._owned:
                os.fchown(descriptor, self._uid, self._gid)
            os.fchmod(descriptor, mode)
            os.utime(descriptor, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(descriptor)

    def add(self, path: str, text: bytes, mode: int, mtime: int) -> None:
        """Make a file of our own, not of the bundle."""
        self.items[path] = self._item(path, self.write_hashed(path, (text,), mode, mtime), mode)

    def adopt(self, path: str, mode: int) -> None:
        """Take the file that is at *path* already (bytecode, made by the environment's Python) into the receipt."""
        full = self.at(path)
        os.chmod(full, mode)
        if not self._owned:
            os.chown(full, self._uid, self._gid)
        self.items[path] = self._item(path, digested(read(full)), mode)._replace(derived=True)

    def give(self, path: str, item: Item, inode: int) -> None:
        """Take the file at *path*, which another generation had as *item* says, into the receipt."""
        self.given[path] = inode
        self.items[path] = item._replace(uid=self._uid, gid=self._gid)

    def was_replaced(self, path: str) -> bool:
        """Whether *path* was given, and is another file now."""
        given = self.given.get(path)
        return given is not None and given != os.lstat(self.at(path)).st_ino

    def give_directory(self, path: str) -> None:
        """Have a directory at *path* that is derived, like what is in it."""
        if path not in self.items:
            self._make_directory(path)
            self.adopt_directory(path)

    def adopt_directory(self, path: str) -> None:
        """Take the directory that is at *path* already into the receipt."""
        full = self.at(path)
        os.chmod(full, _DIRECTORY_MODE)
        if not self._owned:
            os.chown(full, self._uid, self._gid)
        self.items[path] = Item(path, DIRECTORY, "", 0, _DIRECTORY_MODE, self._uid, self._gid, "", True)

    def renew(self, entries: t.Sequence[Entry]) -> None:
        """Renew the digests that files state of relocated ones; wheels' first, as conda may state those of theirs."""
        for kind in (WHEEL_RECORD, CONDA_META):
            for entry in entries:
                # What was given states all that was given.
                if entry.renews == kind and (entry.path not in self.given or self.relocated.keys() - self.given.keys()):
                    self._renew_file(kind, entry)

    def note_packages(self, ownership: Ownership) -> None:
        """Note of each file which package it belongs to, while the records of all say so."""
        for path, item in self.items.items():
            if item.type != DIRECTORY:
                self.items[path] = item._replace(package=ownership.owner(path))

    def _renew_file(self, kind: str, entry: Entry) -> None:
        full = self.at(entry.path)
        with open(full, "rb") as file:
            text = file.read()
        renewed = renew(kind, text, entry.path, self.relocated)
        if renewed != text:
            self.touched.unlink(full)
            self.given.pop(entry.path, None)
            digest = self.write_hashed(entry.path, (renewed,), entry.mode, entry.mtime)
            self.relocated[entry.path] = digest
            self.items[entry.path] = self._item(entry.path, digest, entry.mode)


def _pass_over(passed: set[str], member: Member) -> None:
    """Take note of a carrier file; C(DeployError) where it is more than that."""
    if member.type != FILE or member.size > _CARRIER_MAX or member.name in passed:
        raise DeployError(f"the archive holds {member.name!r} in a form that no carrier file has; it is refused")
    passed.add(member.name)


def _match(awaited: dict[str, Entry], member: Member) -> Entry:
    """Take the entry that *member* is off *awaited*; C(DeployError) unless it is just what the file list says."""
    entry = awaited.pop(member.name.rstrip("/"), None)
    if entry is None:
        raise DeployError(f"the archive holds {member.name!r}, which the file list does not; it is refused")
    if (member.type, member.size, member.target) != (entry.type, entry.size, entry.target):
        raise DeployError(f"{member.name!r} in the archive is not the {entry.type} of the file list; it is refused")
    return entry
