# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A first rollout and an update of one package, beside the naive playbook, rsync and tar alone, on any link."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard
from ansible_collections.airgap.conda.plugins.module_utils._builder.deltas import read_side, write_part
from ansible_collections.airgap.conda.plugins.module_utils._host.decoding import decoded
from ansible_collections.airgap.conda.plugins.module_utils._host.tar import members
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import lacking
from world import bundles
from world.process import say

from bench.builds import packed_size, plain
from bench.figures import Figure, Pairs
from bench.sites import Scene, Site, Timed, fresh_site, unchanged

#: The example with one pure-Python package older.
BEFORE = bundles.EXAMPLE.replace("attrs==23.1.0", "attrs==22.2.0")


class Race(NamedTuple):
    """What a way to deploy took for the older version on bare hosts, then for the newer."""

    first: Timed
    update: Timed


class Found(NamedTuple):
    """All that ran on one site."""

    ours: Race
    naive: Race
    rsync: Race
    #: Ours as users have it, with bytecode.
    default: Race
    #: Ours and rsync, pandas being new as well.
    larger: tuple[Race, Race]
    #: Ours, nothing being new; and a first rollout, the archive being there.
    second: Timed
    near: Timed
    #: tar alone, and two pings.
    least: tuple[Timed, ...]


def deltas() -> list[Figure]:
    """How large what has to be sent for the update is."""
    say("bundles of the example before and after an update")
    before, after = bundles.ensure(BEFORE), bundles.ensure(bundles.EXAMPLE)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        delta = delta_size(before, after, Path(name))
    return [
        _kilobytes(("delta", "changed files"), delta, changed_size(before, after)).figure("update, delta", 1.15),
        _kilobytes(("delta", "archive"), delta, packed_size(after)).figure("update, delta beside the whole", 0.03),
    ]


def measure(scene: Scene, limit_beside_rsync: float) -> list[Figure]:
    """Do it in each way, one after the other, on hosts that are wiped in between."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, fresh_site(scene) as site:
        found = _run(site, Path(name))
    on = f" at {scene.rate}" if scene.rate else ""
    beside = _beside_rsync(f"update{on}", (found.ours, found.rsync), limit_beside_rsync)
    larger = _beside_rsync(f"update with pandas{on}", found.larger, limit_beside_rsync)
    return [*_ratios(found, on), *beside, *_ping_beside_rsync(found, on), *larger, *_costs(found, on, scene.hosts)]


def _ratios(found: Found, on: str) -> Iterator[Figure]:
    ours, naive, rsync, default = found.ours, found.naive, found.rsync, found.default
    first, update = f"first rollout{on}", f"update{on}"
    yield _walls(("ours", "tar and two pings"), ours.first, *found.least).figure(f"{first}, beside tar", 1.6)
    yield _walls(("ours", "naive"), ours.first, naive.first).figure(f"{first}, beside the naive playbook")
    yield _walls(("ours", "rsync"), ours.first, rsync.first).figure(f"{first}, beside rsync")
    yield _walls(("update", "first"), default.update, default.first).figure(f"{update}, beside a first rollout", 0.5)
    yield _walls(("update", "first"), ours.update, ours.first).figure(f"{update}, the same without bytecode", 0.5)
    yield _walls(("ours", "naive"), ours.update, naive.update).figure(f"{update}, beside the naive playbook")
    yield _sent(("ours", "naive"), ours, naive).figure(f"{update}, bytes beside the naive playbook")


def _beside_rsync(update: str, races: tuple[Race, Race], limit: float) -> Iterator[Figure]:
    ours, rsync = races
    yield _walls(("ours", "rsync"), ours.update, rsync.update).figure(f"{update}, beside rsync", limit)
    yield _sent(("ours", "rsync"), ours, rsync).figure(f"{update}, bytes beside rsync", 1.0)


def _ping_beside_rsync(found: Found, on: str) -> Iterator[Figure]:
    """What no module can go below."""
    names, ping, rsync = ("ping", "rsync"), found.least[1], found.rsync.update
    yield _walls(names, ping, rsync).figure(f"a ping{on}, beside rsync")
    yield _kilobytes(names, ping.received, rsync.received).figure(f"a ping{on}, bytes beside rsync")


def _costs(found: Found, on: str, hosts: int) -> Iterator[Figure]:
    yield cost(f"ping{on}", found.least[1], hosts)
    yield cost(f"second run{on}", found.second, hosts)
    yield cost(f"first rollout{on}", found.ours.first, hosts)
    yield cost(f"first rollout{on} by path or url", found.near, hosts)
    yield cost(f"update{on}", found.ours.update, hosts)
    yield cost(f"update with pandas{on}", found.larger[0].update, hosts)


def cost(what: str, timed: Timed, hosts: int) -> Figure:
    """What each host had of a run."""
    seconds = f"CPU of the controller {timed.controller_cpu / hosts:.2f} s, of the host {timed.host_cpu / hosts:.2f} s"
    return Figure(f"{what}, for each host", f"{timed.received / hosts / 1e6:.2f} MB", detail=seconds)


def _run(site: Site, directory: Path) -> Found:
    before, after = bundles.ensure(BEFORE), bundles.ensure(bundles.EXAMPLE)
    archives = [plain(bundle, directory / f"{bundle.name}.tar.gz") for bundle in (before, after)]
    say("tar alone")
    least = (site.bare(archives[0]), site.ping(), site.ping())
    site.wipe()
    say("ours")
    ours, trees = _race_for_trees(site, (before, after), directory / "update")
    second = unchanged(site.ours(after, bytecode=False))
    site.wipe()
    near = site.near(before)
    site.wipe()
    default = _race(site, lambda bundle: site.ours(bundle, bytecode=True), (before, after))
    larger, larger_trees = _race_for_trees(site, (bundles.ensure(bundles.EARLIER), after), directory / "larger")
    site.wipe()
    say("rsync of relocated trees")
    rsync, larger_rsync = _race(site, site.rsync, trees), _race(site, site.rsync, larger_trees)
    say("the naive playbook")
    naive = _race(site, site.naive, archives)
    return Found(ours, naive, rsync, default, (larger, larger_rsync), second, near, least)


def _race(site: Site, way: Callable[[Path], Timed], versions: Iterable[Path]) -> Race:
    """Deploy one of the *versions* after the other, and leave nothing."""
    race = Race(*map(way, versions))
    site.wipe()
    return race


def _race_for_trees(site: Site, versions: Iterable[Path], directory: Path) -> tuple[Race, list[Path]]:
    """Deploy one of the *versions* after the other with the collection; return what was live, too, in *directory*."""
    directory.mkdir()
    runs, trees = [], []
    for number, bundle in enumerate(versions):
        runs.append(site.ours(bundle, bytecode=False))
        trees.append(site.tree(directory / str(number)))
    return Race(*runs), trees


def _walls(names: tuple[str, str], one: Timed, *others: Timed) -> Pairs:
    return Pairs(names, "s", [(one.seconds, sum(other.seconds for other in others))])


def _sent(names: tuple[str, str], one: Race, other: Race) -> Pairs:
    return _kilobytes(names, one.update.received, other.update.received)


def _kilobytes(names: tuple[str, str], one: int, other: int) -> Pairs:
    return Pairs(names, "kB", [(one / 1e3, other / 1e3)])


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
