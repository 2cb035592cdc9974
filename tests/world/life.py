# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole life of an environment in a directory, whatever file system that is on; prints what was seen of it.

    python -m world.life DIRECTORY

The host's half runs as it is, without Ansible; C(AssertionError) where it does not keep a promise.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import random
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from ansible_collections.airgap.conda.plugins.module_utils._host import deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import exchange
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import verify
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import VERIFY_FULL, VERIFY_QUICK
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Scope
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    TinyBundle,
    file,
    make_bundle,
    tool_members,
)

#: Large enough to have blocks of its own.
BIG = "share/big"
SIZE = 1 << 20

#: ioctl(2) of linux/fs.h, and what it says of blocks that another file has too.
_FIEMAP = 0xC020660B
_SYNC = 1
_SHARED = 0x2000

#: Of an upgrade and of the way back, each.
KILLS = 4


def live(top: Path) -> dict[str, Any]:
    """Deploy, upgrade, fail, go back, damage, be killed, put things aside and remove, in the directory *top*."""
    # The site's own home, whoever this is.
    site = Site(top)
    cast("Any", deployment).scope_of = lambda _order: Scope(False, str(site.home), {})
    with tempfile.TemporaryDirectory() as directory:
        versions = ("1.0", "2.0", "3.0")
        one, two, three = (make_bundle(Path(directory, name), _members(name)) for name in versions)
        site.part_size = len(one.stream) + len(two.stream)
        site.present(one)
        site.present(two)
        seen = {"shared": _shared(site), "exchanges": _exchanges(top)}
        _check(site, two)
        with contextlib.suppress(DeployError):
            site.present(three, health={"commands": ["false"]})
            raise AssertionError("an unhealthy generation became live")
        _check(site, two)
        _check(site, one, awaited=1)
        # Not in place: that would damage it in every generation that shares it.
        (site.prefix / BIG).unlink()
        (site.prefix / BIG).write_bytes(b"damaged")
        _check(site, one, awaited=2)
        for _kill in range(KILLS):
            for bundle in (two, one):
                _killed(functools.partial(site.present, bundle, keep=1))
                assert site.output()[:3] in ("1.0", "2.0") or not seen["exchanges"]
                _check(site, bundle)
        (site.prefix / "mine").write_text("mine")
        site.run(site.order(on_unexpected="keep"))
        assert [path.read_text() for path in Path(site.store.quarantine).glob("*/mine")] == ["mine"]
        assert os.listdir(site.envs) == [".airgap"]
    return seen


def _members(version: str) -> list[Any]:
    return [*tool_members(version), file(BIG, random.Random(0).randbytes(SIZE))]


def _check(site: Site, bundle: TinyBundle, awaited: int = 0) -> None:
    """Bring *bundle* to be live; then every tree is as its receipt says, whether all is read or nothing."""
    results = site.present(bundle, keep=2)
    assert not awaited or len(results) == awaited, results
    assert site.output() == f"{bundle.path.name} at {site.prefix}\n"
    site.assert_settled(site.order(bundle, keep=2))
    header = site.store.live()
    assert header
    trees = {header.generation: site.store.prefix, **{name: site.store.tree(name) for name in site.store.kept()}}
    for depth in (VERIFY_QUICK, VERIFY_FULL):
        for generation, tree in trees.items():
            damage = verify(site.store, tree, generation, depth).damage
            assert not any(damage), (generation, damage)


def _shared(site: Site) -> str:
    """What the live tree and the one before share of a file that is the same."""
    (kept,) = site.store.kept()
    paths = [site.prefix / BIG, Path(site.store.tree(kept)) / BIG]
    if paths[0].samefile(paths[1]):
        return "inodes"
    return "blocks" if _has_shared_blocks(paths[0]) else "nothing"


def _has_shared_blocks(path: Path) -> bool:
    """Whether the first blocks of *path* are another file's too, as fiemap(2) says."""
    request = bytearray(struct.pack("=QQLLLL", 0, SIZE, _SYNC, 0, 1, 0) + bytes(56))
    with contextlib.suppress(OSError), path.open("rb") as opened:
        fcntl.ioctl(opened, _FIEMAP, request)
        return bool(struct.unpack_from("=L", request, 32 + 40)[0] & _SHARED)
    return False


def _exchanges(top: Path) -> bool:
    pair = [top / "one", top / "other"]
    for path in pair:
        path.mkdir()
    try:
        return exchange(*map(str, pair))
    finally:
        for path in pair:
            path.rmdir()


def _killed(work: Callable[[], object]) -> None:
    """Do *work* in a child that is killed at a moment of it, or has ended before."""
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    time.sleep(random.uniform(0, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    os.umask(0o022)
    print(json.dumps(live(Path(sys.argv[1]))))
