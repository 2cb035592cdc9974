# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The store: what airgap.conda keeps beside an environment, on the same file system.

C(<envs_dir>/.airgap/<name>/) holds C(lock), C(incoming/) (parts as they arrive), C(staging/) (a tree being made),
C(generations/<generation>/) (whole trees that are not live), and for each generation C(receipts/), C(manifests/),
C(files/) (the bundle's file list), C(health/) (what must work in it), C(index/), and C(failed/) with what its health
check said. C(switches.jsonl) is the record of what was live when.
Which generation is live is written in the tree itself, so the switch changes both in one step. C(format) is the
number of all this: of the names here, of C(registration.json) and of indexes. Receipts and manifests have their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.tree import Touched
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import check_format
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import (
    Header,
    Item,
    Receipt,
    number_of,
    parse_header,
    parse_receipt,
    render_receipt,
)

#: Format of the stores this collection makes; it reads this one and all older ones.
FORMAT = 1

#: Seconds to wait for another run on this environment.
PATIENCE = 30

#: What stays when all else is removed: it is the users'.
_QUARANTINE = "quarantine"

_RETRY = 0.2
#: What is kept of each generation beside its tree.
_RECORDS = ("receipts", "manifests", "files", "health", "index", "failed")
_PARTS = (*_RECORDS, "generations", "incoming")
_GENERATION = re.compile(r"[0-9]{4,}-[0-9a-f]{12}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: What the name of a file that is being written ends with.
_NEW = ".new"
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Store:
    """The store of one environment."""

    def __init__(self, envs_dir: str, name: str) -> None:
        self.envs_dir = envs_dir
        self.prefix = os.path.join(envs_dir, name)
        self.top = os.path.join(envs_dir, ".airgap")
        self.root = os.path.join(self.top, name)
        self.staging = os.path.join(self.root, "staging")
        self.aside = self.path("generations", "aside")
        self.format = os.path.join(self.root, "format")
        self.registration = os.path.join(self.root, "registration.json")
        self.quarantine = os.path.join(self.root, _QUARANTINE)
        self.switches = os.path.join(self.root, "switches.jsonl")

    @property
    def exists(self) -> bool:
        """Whether there is anything to remove: the store, or the directory of stores that a killed removal left."""
        with contextlib.suppress(FileNotFoundError):
            return os.listdir(self.root) != [_QUARANTINE]
        with contextlib.suppress(FileNotFoundError):
            return not os.listdir(self.top)
        return False

    def path(self, part: str, name: str) -> str:
        """Return the path of *name* in one of the store's directories."""
        return os.path.join(self.root, part, name)

    def tree(self, generation: str) -> str:
        """Return where the tree of a *generation* is that is not live."""
        return self.path("generations", generation)

    def kept(self) -> list[str]:
        """Return the generations that are whole and not live, the oldest first."""
        recorded = set(self._names("receipts"))
        named = [name for name in self._names("generations") if name in recorded]
        return sorted((name for name in named if generation_of(self.tree(name)) == name), key=number_of)

    def _names(self, part: str) -> list[str]:
        """Return the generations named in one of the store's directories; what another put there is none."""
        try:
            return list(filter(_GENERATION.fullmatch, os.listdir(os.path.join(self.root, part))))
        except FileNotFoundError:
            return []

    def create(self) -> None:
        """Make the store's directories."""
        for part in _PARTS:
            os.makedirs(os.path.join(self.root, part), exist_ok=True)

    def check_format(self) -> None:
        """Raise C(BundleError) when a newer collection made this store; one that says nothing is of format 1."""
        with contextlib.suppress(FileNotFoundError), open(self.format, "rb") as file:
            text = file.read(64).strip()
            try:
                check_format(int(text), FORMAT, f"the store {self.root}")
            except ValueError:
                raise BundleError(f"{self.format} is damaged; remove it by hand and run again") from None

    def check_owner(self) -> None:
        """Raise C(DeployError) where another user may have put what is in the store, and may lead us elsewhere."""
        for directory in (self.top, self.root):
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(directory)
                if not stat.S_ISDIR(status.st_mode):
                    raise DeployError(f"{directory} is no directory, so somebody else put it there; move it away")
                if status.st_uid not in (0, os.geteuid()):
                    raise DeployError(
                        f"{directory} belongs to another user (uid {status.st_uid}), who could lead this run elsewhere;"
                        " deploy as that user (become_user), or to another env_deploy_envs_dir"
                    )

    @contextlib.contextmanager
    def locked(self, patience: float = PATIENCE) -> t.Iterator[None]:
        """Keep every other run off this environment; C(DeployError) naming the holder that stays for *patience*."""
        self.check_owner()
        self.create()
        with open(os.path.join(self.root, "lock"), "a+", encoding="ascii") as file:
            _take(file, self.prefix, patience)
            if os.fstat(file.fileno()).st_nlink:
                # Another controller may have come first, with a newer collection.
                self.check_format()
                if not os.path.exists(self.format):
                    write_whole(self.format, (b"%d\n" % FORMAT,))
                file.seek(0)
                file.truncate()
                file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
                file.flush()
                yield
                return
        # Another run removed the store, lock and all, while this one waited.
        with self.locked(patience):
            yield

    @property
    def busy(self) -> bool:
        """Whether another run works on this environment at this moment."""
        with contextlib.suppress(FileNotFoundError, PermissionError), open(
            os.path.join(self.root, "lock"), "rb"
        ) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def live(self) -> Header | None:
        """Return the header of the live generation, or None when what is live is not ours."""
        self.check_format()
        # What a link at the prefix leads to was not put there by us.
        generation = "" if os.path.islink(self.prefix) else generation_of(self.prefix)
        try:
            return self.header(generation) if generation else None
        except FileNotFoundError:
            return None

    def header(self, generation: str) -> Header:
        """Return the header of the receipt of *generation*."""
        path = self.path("receipts", generation)
        with open(path, "rb") as file:
            header = parse_header(file.readline(), path)
        if header.generation != generation:
            raise BundleError(f"{path}: the receipt is of {header.generation}; remove it by hand and run again")
        return header

    def receipt(self, generation: str) -> Receipt:
        """Return the receipt of *generation*."""
        path = self.path("receipts", generation)
        with open(path, "rb") as file:
            return parse_receipt(file.read(), path)

    def manifest(self, generation: str) -> bytes:
        """Return the manifest that *generation* was deployed with."""
        with open(self.path("manifests", generation), "rb") as file:
            return file.read()

    def file_list(self, generation: str) -> bytes:
        """Return the file list, as packed, of the bundle that *generation* is made of; empty for none."""
        try:
            with open(self.path("files", generation), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def index(self, generation: str) -> bytes:
        """Return the stat index of *generation*, empty when there is none."""
        try:
            with open(self.path("index", generation), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def recorded(self, content_id: str) -> list[str]:
        """Return the generations of *content_id* that there is a receipt of."""
        return [name for name in self._names("receipts") if name.endswith(f"-{content_id[:12]}")]

    def next_generation(self, content_id: str) -> str:
        """Return a name for a new generation: a number that grows, and whose content it is."""
        return f"{max(map(number_of, self._names('receipts')), default=0) + 1:04d}-{content_id[:12]}"

    def write_receipt(self, header: Header, items: t.Iterable[Item], manifest: bytes, files: bytes) -> None:
        """Record a generation, for good; one that is of no bundle has neither *manifest* nor *files*."""
        for part, data in (("manifests", manifest), ("files", files)):
            if data:
                write_whole(self.path(part, header.generation), (data,))
        write_whole(self.path("receipts", header.generation), render_receipt(header, items))

    def write_index(self, generation: str, index: bytes) -> None:
        """Replace the stat index of *generation*."""
        write_whole(self.path("index", generation), (index,))

    def renew_indexes(self, touched: Touched) -> None:
        """Let the stat index of each generation that shares files which were *touched* be true again."""
        for generation in self._names("index"):
            index = self.index(generation)
            renewed = touched.renewed(index)
            if renewed != index:
                self.write_index(generation, renewed)

    def failure(self, generation: str) -> str:
        """Return what the health check said against *generation*, empty for nothing."""
        try:
            with open(self.path("failed", generation), encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""
        except PermissionError:
            return "its health check failed; what that said is for who deployed it"

    def mark_failed(self, generation: str, message: str) -> None:
        """Note what the health check said against *generation*; with an empty message that it is well.

        For its owner's eyes: it quotes commands and what they printed.
        """
        path = self.path("failed", generation)
        if message:
            write_whole(path, (f"{message}\n".encode("utf-8", "surrogateescape"),), 0o600)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def orphans(self) -> list[str]:
        """Return the generations of which there is a record and no tree."""
        live = generation_of(self.prefix)
        trees = {live, *self._names("generations")}
        return sorted({name for part in _RECORDS for name in self._names(part)} - trees)

    def scraps(self) -> list[str]:
        """Return what a killed run was about to write."""
        found = []
        for directory in (self.root, *(os.path.join(self.root, part) for part in _RECORDS)):
            with contextlib.suppress(FileNotFoundError):
                found += [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(_NEW)]
        return found

    def forget(self, generation: str) -> None:
        """Remove all that is kept of *generation* but its tree."""
        for part in _RECORDS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(part, generation))

    def remove(self) -> None:
        """Remove the store but its quarantine, and the directory of stores when it was the last."""
        for name in os.listdir(self.root):
            if name != _QUARANTINE:
                remove_tree(os.path.join(self.root, name))
        for directory in (self.root, self.top):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def generation_of(tree: str) -> str:
    """Return the generation that *tree* names, empty for none; its owner may have written anything there."""
    try:
        with open(os.path.join(tree, GENERATION_MARKER), encoding="ascii", errors="replace") as file:
            name = file.read(64).strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return name if _GENERATION.fullmatch(name) else ""


def _take(file: t.IO[str], prefix: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.seek(0)
                raise DeployError(
                    f"another run works on {prefix} ({file.read() or 'unknown'}); try again later"
                ) from None
            time.sleep(_RETRY)


def write_whole(path: str, chunks: t.Iterable[bytes], mode: int = 0o644) -> None:
    """Write *chunks* to *path*, durably and in one step."""
    temporary = path + _NEW
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    # Never through what another user put in the way.
    with os.fdopen(os.open(temporary, _WRITE, 0o600), "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), mode)
    os.replace(temporary, path)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*; a nearly full disk takes less at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def remove_tree(path: str, touched: Touched | None = None) -> None:
    """Remove the tree at *path*, directories without write permission included; nothing when there is none.

    *touched* takes note of files that have other names elsewhere.
    """
    try:
        if os.path.islink(path) or os.path.isfile(path):
            os.unlink(path)
        elif os.path.lexists(path):
            _open_up(path)
            directory = os.open(path, _DIRECTORY)
            try:
                _remove_below(directory, touched or Touched())
            finally:
                os.close(directory)
            os.rmdir(path)
    except OSError as error:
        raise DeployError(f"cannot remove {path}: {error.strerror}; remove it by hand and run again") from None


def _remove_below(directory: int, touched: Touched) -> None:
    """Remove all that is in the open *directory*."""
    with os.scandir(directory) as listing:
        found = [(item.name, item.is_dir(follow_symlinks=False)) for item in listing]
    for name, is_directory in found:
        if not is_directory:
            touched.unlink(name, directory)
            continue
        inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        try:
            _remove_below(inner, touched)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=directory)


def _open_up(directory: str) -> None:
    """Give the owner all permissions of *directory* and of those below it, from the top on."""
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        os.chmod(directory, 0o700)
    with os.scandir(directory) as listing:
        for item in listing:
            if item.is_dir(follow_symlinks=False):
                _open_up(item.path)
