# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where what is slow to make is kept between test runs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def root() -> Path:
    """The directory of everything kept: $AIRGAP_TEST_CACHE, else airgap-conda-test in the user's cache."""
    named = os.environ.get("AIRGAP_TEST_CACHE")
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "airgap-conda-test"


def entry(kind: str, inputs: object, make: Callable[[Path], None]) -> Path:
    """The directory made from these inputs, made now by `make` if it is not there yet.

    `make` fills a directory of another name, which takes its place only when `make` returns:
    what a killed run leaves is never found and goes with the next try.
    """
    key = digest(inputs)
    final = root() / kind / key
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with _alone(final.with_name(f".{key}.lock")):
        if not final.is_dir():
            _sweep(final.parent)
            _make(final.with_name(f".{key}.part"), final, make)
    return final


def digest(inputs: object) -> str:
    """The first 16 digits of the sha256 of the inputs as canonical JSON."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _sweep(kind: Path) -> None:
    """Remove what killed runs left: parts whose lock nobody holds."""
    for part in kind.glob(".*.part"):
        with part.with_suffix(".lock").open("w") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(part)


def _make(part: Path, final: Path, make: Callable[[Path], None]) -> None:
    if part.exists():
        shutil.rmtree(part)
    part.mkdir()
    part.chmod(0o755)
    try:
        make(part)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.rename(final)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
