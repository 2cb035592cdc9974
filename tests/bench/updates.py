# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An update of one package: bytes on the hosts' interfaces and wall, beside a first rollout, tar alone and rsync."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import zstandard
from ansible_collections.airgap.conda.plugins.module_utils._builder.deltas import read_side, write_part
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoded
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import members
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import lacking
from world import bundles
from world.process import say

from bench.builds import Build
from bench.figures import Figure, Pairs
from bench.sites import Site, Timed, fresh_site

#: The example with one pure-Python package older.
BEFORE = bundles.EXAMPLE.replace("attrs==23.1.0", "attrs==22.2.0")


def measure(build: Build, hosts: int, storage: str) -> list[Figure]:
    """Roll out, update, and do by rsync and by tar alone what can be done so."""
    say("bundles of the example before and after an update")
    before, after = bundles.ensure(BEFORE), bundles.ensure(bundles.EXAMPLE)
    archive = _archive(after)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, fresh_site(hosts, storage) as site:
        directory = Path(name)
        pings = [site.ping(), site.ping()]
        bare = site.bare(build.archive)
        first, first_bytes = _metered(site, lambda: site.ours(before, bytecode=False))
        old = site.tree(directory / "old")
        update, update_bytes = _metered(site, lambda: site.ours(after, bytecode=False))
        new = site.tree(directory / "new")
        site.rsync(old)
        rsync, rsync_bytes = _metered(site, lambda: site.rsync(new))
        delta = delta_size(before, after, directory)
    allowed = bare.seconds + sum(ping.seconds for ping in pings)
    changed = changed_size(before, after)
    return [
        Pairs(("delta", "changed files"), "kB", [(delta / 1e3, changed / 1e3)]).figure("update, delta", 1.15),
        Pairs(("delta", "archive"), "kB", [(delta / 1e3, archive / 1e3)]).figure(
            "update, delta beside the whole", 0.03
        ),
        _bytes("first rollout, bytes to a host", first_bytes / hosts, archive),
        _bytes("update, bytes to a host", update_bytes / hosts, archive),
        Pairs(("ours", "rsync"), "kB", [(update_bytes / hosts / 1e3, rsync_bytes / hosts / 1e3)]).figure(
            "update, bytes beside rsync of a relocated tree", 1.0
        ),
        Pairs(("update", "first"), "s", [(update.seconds, first.seconds)]).figure("update, wall", 0.5),
        Pairs(("ours", "rsync"), "s", [(update.seconds, rsync.seconds)]).figure("update, wall beside rsync", 1.2),
        Pairs(("ours", "tar and two pings"), "s", [(first.seconds, allowed)]).figure("first rollout, wall", 1.6),
    ]


def measure_fleet(build: Build, hosts: int, storage: str) -> list[Figure]:
    """First rollouts to half of the hosts and to all: what one more host costs, beside tar alone."""
    found: dict[int, tuple[Timed, Timed]] = {}
    for count in (hosts // 2, hosts):
        say(f"{count} hosts")
        with fresh_site(count, storage) as site:
            found[count] = (site.ours(build.bundle, bytecode=False), site.bare(build.archive))
    (few, few_bare), (many, many_bare) = found[hosts // 2], found[hosts]
    more = hosts - hosts // 2
    ours, bare = (many.seconds - few.seconds) / more, (many_bare.seconds - few_bare.seconds) / more
    controller = (many.controller_cpu - few.controller_cpu) / more
    return [
        Pairs(("ours", "tar alone"), "s", [(ours, bare)]).figure("one more host, wall", 1.2),
        Figure("one more host, CPU of the controller", f"{controller:.2f} s"),
        Figure(
            f"first rollout to {hosts} hosts", f"{many.seconds:.1f} s", detail=f"to {hosts // 2}: {few.seconds:.1f} s"
        ),
    ]


def delta_size(before: Path, after: Path, directory: Path) -> int:
    """Bytes of the archive that hosts get in an update."""
    older, newer = read_side(str(before)), read_side(str(after))
    wanted = {entry.path for entry in lacking(older.entries, newer.entries)}
    return write_part(newer, wanted, str(directory / "delta")).piece.size


def changed_size(before: Path, after: Path) -> int:
    """Bytes of those files of *after* that *before* has not, each compressed by itself as the archive is."""
    had = {entry["sha256"] for entry in _entries(before) if entry["type"] == "file"}
    new = {entry["path"] for entry in _entries(after) if entry["type"] == "file" and entry["sha256"] not in had}
    compressor, size = zstandard.ZstdCompressor(level=4).compressobj(), 0
    with (after / "archive.tar.zst").open("rb") as file, decoded("zstd", file) as tar:
        for member, data in members(tar):
            if member.name in new:
                size += sum(len(compressor.compress(chunk)) for chunk in data)
    return size + len(compressor.flush())


def _entries(bundle: Path) -> list[dict[str, str]]:
    lines = gzip.decompress((bundle / "files.jsonl.gz").read_bytes()).splitlines()
    return [json.loads(line) for line in lines]


def _archive(bundle: Path) -> int:
    return (bundle / "archive.tar.zst").stat().st_size


def _bytes(what: str, size: float, archive: int) -> Figure:
    return Figure(what, f"{size / 1e6:.2f} MB", detail=f"{size / archive:.1%} of the archive")


def _metered(site: Site, work: Callable[[], Timed]) -> tuple[Timed, int]:
    """Do *work*; return what it took, and the bytes that hosts received."""
    before = site.received()
    timed = work()
    return timed, site.received() - before
