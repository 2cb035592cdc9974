# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Build environments on disk: each has a directory with a state file, one private prefix and a lock.

A prefix is never changed: another one is made, the state file is switched to it, then the old one goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import conda_meta, pip
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package

FORMAT = 1

_PREFIX = re.compile(r"[0-9a-f]{12}")
_STATE = "state.json"
_LOCK = ".lock"


@dataclasses.dataclass(frozen=True)
class State:
    """What a build environment is: digest of its inputs, where it lives, what is in it."""

    inputs: str
    prefix: str
    packages: tuple[Package, ...]
    requirements: tuple[str, ...]
    fingerprint: str

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> State:
        return cls(
            inputs=data["inputs"],
            prefix=data["prefix"],
            packages=tuple(Package.from_json(package) for package in data["packages"]),
            requirements=tuple(data["requirements"]),
            fingerprint=data["fingerprint"],
        )

    def to_json(self) -> dict[str, t.Any]:
        return {"format": FORMAT, **dataclasses.asdict(self)}


class BuildEnvironment:
    """The directory C(<workdir>/<name>-<platform>), which is all ours."""

    def __init__(self, workdir: str, name: str, platform: str) -> None:
        self.directory = os.path.join(workdir, f"{name}-{platform}")

    @property
    def exists(self) -> bool:
        return os.path.isdir(self.directory)

    def state(self) -> State | None:
        """Return what was recorded last; None where there is nothing, or it is damaged."""
        try:
            with open(os.path.join(self.directory, _STATE), encoding="utf-8") as file:
                data = json.load(file)
            if data["format"] > FORMAT:
                raise BuildError(f"{self.directory} was made by a newer airgap.conda; upgrade this one or remove it")
            return State.from_json(data)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def adopt(self, state: State) -> None:
        """Make *state* the one that counts, by a rename; then delete every other prefix."""
        path = os.path.join(self.directory, _STATE)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(state.to_json(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
        self.sweep()

    def sweep(self) -> None:
        """Delete prefixes that the state file does not name: old ones, and halves left by a killed run."""
        state = self.state()
        kept = os.path.basename(state.prefix) if state else None
        for name in os.listdir(self.directory):
            if _PREFIX.fullmatch(name) and name != kept:
                shutil.rmtree(os.path.join(self.directory, name))

    @contextlib.contextmanager
    def new_prefix(self) -> t.Iterator[str]:
        """Yield the path of a prefix to make; what was made is deleted again if making it fails.

        The path is random, so that no other text on the builder can start with it.
        """
        prefix = os.path.join(self.directory, secrets.token_hex(6))
        try:
            yield prefix
        except BaseException:
            shutil.rmtree(prefix, ignore_errors=True)
            raise

    @contextlib.contextmanager
    def lock(self) -> t.Iterator[None]:
        """Keep other runs out of the directory, which is made if it is not there and goes if it ends up empty."""
        with _locked(self.directory):
            self.sweep()
            try:
                yield
            finally:
                if self.exists and not self.state():
                    self.remove()

    def remove(self) -> None:
        """Delete the directory; call it under M(lock)."""
        shutil.rmtree(self.directory)


def fingerprint(prefix: str) -> str:
    """Return a digest of what installers leave behind at *prefix*, cheap enough for every run; empty for no prefix.

    It changes with each package that conda or pip installs or removes there, and when the package cache, which
    packing needs, lost or renewed a package.
    """
    if not os.path.isdir(os.path.join(prefix, "conda-meta")):
        return ""
    digest = hashlib.sha256()
    directory = os.path.join(prefix, "conda-meta")
    listed = [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    for path in [*listed, *pip.metadata_files(prefix)]:
        with open(path, "rb") as file:
            digest.update(os.fsencode(f"{path}\0{hashlib.sha256(file.read()).hexdigest()}\n"))
    for _path, data in conda_meta.read_records(prefix):
        digest.update(os.fsencode(_cached(data["link"]["source"])))
    return digest.hexdigest()


def _cached(source: str) -> str:
    """Tell one extraction of a package from the next."""
    try:
        info = os.stat(os.path.join(source, "info"))
    except FileNotFoundError:
        return f"{source}\0gone\n"
    return f"{source}\0{info.st_ino}\0{info.st_mtime_ns}\n"


@contextlib.contextmanager
def _locked(directory: str) -> t.Iterator[None]:
    """Hold the lock of *directory*, made for this user only."""
    try:
        for path in (os.path.dirname(directory), directory):
            os.makedirs(path, mode=0o700, exist_ok=True)
        descriptor = os.open(os.path.join(directory, _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise BuildError(f"the build directory {directory} cannot be used: {error.strerror}") from error
    with os.fdopen(descriptor) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is_at(file.fileno(), os.path.join(directory, _LOCK)):
            yield
            return
    # Another run removed the environment, lock and all, while this one waited.
    with _locked(directory):
        yield


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
