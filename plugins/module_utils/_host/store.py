# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The store: what airgap.conda keeps beside an environment, on the same file system.

C(<envs_dir>/.airgap/<name>/) holds C(lock), C(incoming/) (parts as they arrive), C(staging/) (a tree being made),
C(generations/<generation>/) (trees that were live), and for each generation C(receipts/), C(manifests/) and C(index/).
Which generation is live is written in the tree itself, so the switch changes both in one step. C(format) is the
number of all this: of the names here, of C(registration.json) and of indexes. Receipts and manifests have their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import check_format
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import (
    Header,
    Item,
    Receipt,
    parse_header,
    parse_receipt,
    render_receipt,
)

#: Format of the stores this collection makes; it reads this one and all older ones.
FORMAT = 1

#: Seconds to wait for another run on this environment.
PATIENCE = 30

_RETRY = 0.2
_PARTS = ("receipts", "manifests", "index", "generations", "incoming")
_GENERATION = re.compile(r"[0-9]{4,}-[0-9a-f]{12}")
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

    @property
    def exists(self) -> bool:
        """Whether there is anything to remove: the store, or the directory of stores that a killed removal left."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.isdir(self.root) or not os.listdir(self.top)
        return False

    def path(self, part: str, name: str) -> str:
        """Return the path of *name* in one of the store's directories."""
        return os.path.join(self.root, part, name)

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

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Keep every other run off this environment; C(DeployError) naming the holder when it does not go."""
        self.create()
        with open(os.path.join(self.root, "lock"), "a+", encoding="ascii") as file:
            _take(file, self.prefix)
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
        with self.locked():
            yield

    def live(self) -> Header | None:
        """Return the header of the live generation, or None when what is live is not ours."""
        self.check_format()
        generation = generation_of(self.prefix)
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

    def index(self, generation: str) -> bytes:
        """Return the stat index of *generation*, empty when there is none."""
        try:
            with open(self.path("index", generation), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def next_generation(self, content_id: str) -> str:
        """Return a name for a new generation: a number that grows, and whose content it is."""
        named = filter(_GENERATION.fullmatch, os.listdir(os.path.join(self.root, "receipts")))
        return f"{max(map(number_of, named), default=0) + 1:04d}-{content_id[:12]}"

    def write_receipt(self, header: Header, items: t.Iterable[Item], manifest: bytes) -> None:
        """Record a generation, for good."""
        write_whole(self.path("manifests", header.generation), (manifest,))
        write_whole(self.path("receipts", header.generation), render_receipt(header, items))

    def write_index(self, generation: str, index: bytes) -> None:
        """Replace the stat index of *generation*."""
        write_whole(self.path("index", generation), (index,))

    def forget(self, generation: str) -> None:
        """Remove all that is kept of *generation* but its tree."""
        for part in ("receipts", "manifests", "index"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(part, generation))

    def remove(self) -> None:
        """Remove the store, and the directory of stores when it was the last."""
        remove_tree(self.root)
        with contextlib.suppress(OSError):
            os.rmdir(self.top)


def number_of(generation: str) -> int:
    """Return the number of *generation*, which grows from one to the next."""
    return int(generation.partition("-")[0])


def generation_of(tree: str) -> str:
    """Return the generation that *tree* names, empty for none; its owner may have written anything there."""
    try:
        with open(os.path.join(tree, GENERATION_MARKER), encoding="ascii", errors="replace") as file:
            name = file.read(64).strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return name if _GENERATION.fullmatch(name) else ""


def _take(file: t.IO[str], prefix: str) -> None:
    deadline = time.monotonic() + PATIENCE
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


def write_whole(path: str, chunks: t.Iterable[bytes]) -> None:
    """Write *chunks* to *path*, durably and in one step."""
    temporary = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    # Never through what another user put in the way.
    with os.fdopen(os.open(temporary, _WRITE, 0o600), "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o644)
    os.replace(temporary, path)


def remove_tree(path: str) -> None:
    """Remove the tree at *path*, directories without write permission included; nothing when there is none."""
    try:
        if os.path.islink(path) or os.path.isfile(path):
            os.unlink(path)
        elif os.path.lexists(path):
            _open_up(path)
            shutil.rmtree(path)
    except OSError as error:
        raise DeployError(f"cannot remove {path}: {error.strerror}; remove it by hand and run again") from None


def _open_up(directory: str) -> None:
    """Give the owner all permissions of *directory* and of those below it, from the top on."""
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        os.chmod(directory, 0o700)
    with os.scandir(directory) as listing:
        for item in listing:
            if item.is_dir(follow_symlinks=False):
                _open_up(item.path)
