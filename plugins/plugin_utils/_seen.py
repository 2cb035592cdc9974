# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What each host was last seen to have, kept in the cache: so what it will await can go with the first execution.

A hint that decides nothing but that: the host says what it has, and awaits what else it needs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import used
from ansible_collections.airgap.conda.plugins.plugin_utils._deltas import suit

if t.TYPE_CHECKING:
    from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle

#: Bytes that are sent on a guess. What is larger waits for the host's answer, which takes as long as a ping.
LITTLE = 4 << 20


class Sight(t.NamedTuple):
    """One environment of one host."""

    #: Of what was live.
    content_id: str
    #: Of the bundle that was wanted there.
    platform: str
    #: What the host decodes, the best first.
    decoders: tuple[str, ...]


class Seen:
    """What one host was last seen to have, by environment."""

    def __init__(self, cache: str, host: str) -> None:
        name = hashlib.sha256(host.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = os.path.join(cache, "hosts", f"{name}.json")
        self._sights = self._read()

    def of(self, environments: t.Iterable[str]) -> list[Sight | None]:
        """Return what was last seen of *environments*."""
        return [self._sights.get(environment) for environment in environments]

    def note(self, environments: t.Sequence[str], sights: t.Sequence[Sight | None]) -> None:
        """Keep what was seen now of *environments*; nothing is kept of one that is called nothing."""
        pairs = {name: sight for name, sight in zip(environments, sights) if name and sight}
        used(self._path)
        if pairs.items() - self._sights.items():
            self._sights.update(pairs)
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            temporary = f"{self._path}.{os.getpid()}"
            with open(temporary, "w", encoding="ascii") as file:
                json.dump(self._sights, file)
            os.replace(temporary, self._path)

    def _read(self) -> dict[str, Sight]:
        # What cannot be read was not seen.
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError), open(self._path, "rb") as file:
            return {
                environment: Sight(str(content_id), str(platform), tuple(map(str, decoders)))
                for environment, (content_id, platform, decoders) in json.load(file).items()
            }
        return {}


def foresee(sights: t.Sequence[Sight | None], groups: t.Sequence[t.Mapping[str, Bundle]]) -> list[Bundle]:
    """Return what hosts will await if they have what the *sights* of their environments say, as far as it is little.

    Of a bundle that is returned, only what the host lacks is offered.
    """
    found = []
    for sight, bundles in zip(sights, groups):
        bundle = bundles.get(sight.platform) if sight else None
        if sight and bundle and bundle.manifest.content_id != sight.content_id:
            suit(bundle, Basis(sight.content_id), sight.decoders)
            if bundle.basis.base and bundle.size <= LITTLE:
                found.append(bundle)
    return found


def is_little_awaited(sights: t.Sequence[Sight | None], groups: t.Sequence[t.Mapping[str, Bundle]]) -> bool:
    """Whether hosts that have what the *sights* say await nothing, or what was foreseen."""
    return all(_is_little(sight, bundles) for sight, bundles in zip(sights, groups) if bundles)


def _is_little(sight: Sight | None, bundles: t.Mapping[str, Bundle]) -> bool:
    bundle = bundles.get(sight.platform) if sight else None
    if sight is None or bundle is None:
        return False
    if sight.content_id == bundle.manifest.content_id:
        return True
    return sight.content_id == bundle.basis.base and bundle.size <= LITTLE


def sights_of(
    rows: t.Sequence[t.Mapping[str, t.Any]],
    groups: t.Sequence[t.Mapping[str, Bundle]],
    before: t.Sequence[Sight | None],
    decoders: t.Mapping[str, t.Sequence[str]],
) -> list[Sight | None]:
    """Return what the *rows* of a host's answer say that it has, None for nothing.

    *decoders* by prefix, where it told them; else it has those of *before*.
    """
    found: list[Sight | None] = []
    for row, bundles, last in zip(rows, groups, before):
        platforms = [name for name, bundle in bundles.items() if bundle.manifest.content_id == row["wanted"]]
        known = decoders.get(row["prefix"]) or (last.decoders if last else ())
        usable = platforms and row["content_id"] and known
        found.append(Sight(row["content_id"], platforms[0], tuple(known)) if usable else None)
    return found
