# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Deliver: execute a module, and send what it awaits, until it awaits nothing more."""

from __future__ import annotations

import copy
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import STREAM_NAME
from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle, Shelf
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import default_cache
from ansible_collections.airgap.conda.plugins.plugin_utils._deltas import suit
from ansible_collections.airgap.conda.plugins.plugin_utils._fleet import Fleet
from ansible_collections.airgap.conda.plugins.plugin_utils._outcome import Outcome
from ansible_collections.airgap.conda.plugins.plugin_utils._seen import Seen, foresee, is_little_awaited, sights_of
from ansible_collections.airgap.conda.plugins.plugin_utils._sending import (
    PART,
    remote_path,
    send_part,
    without_compression,
)

Fields = t.Dict[str, t.Any]


class Delivery(AirgapAction):
    """Base of the controller halves of modules that bundles are offered to."""

    # One builder's lines are read, those of a fleet are noise; following costs each host some connections.
    progress_verbosity = 1

    def shelf(self) -> Shelf:
        """Return the shelf of this task's bundles."""
        return Shelf(self.cache)

    @property
    def cache(self) -> str:
        """Where derived things are kept."""
        return self.caller_path(self._task.args.get("cache") or default_cache())

    def bundles(self, given: t.Any, shelf: Shelf, name: str = "") -> dict[str, Bundle]:
        """Return the bundles of one environment by platform; see M(Shelf.by_platform)."""
        found = shelf.by_platform(given, self.caller_path, name)
        # Each environment has its own, as hosts may lack other parts of it.
        return {platform: copy.copy(bundle) for platform, bundle in found.items()}

    def deliver(
        self,
        module: str,
        arguments: t.Callable[[], Fields],
        groups: t.Sequence[t.Mapping[str, Bundle]],
        task_vars: dict[str, t.Any],
        names: t.Sequence[str] = (),
    ) -> tuple[Outcome, Fields]:
        """Execute *module* with *arguments*, which are asked for each time, as a bundle may come to be encoded anew.

        *groups*: the bundles by platform of each environment. *names*: what each is known by from one run to the next;
        without it, nothing is foreseen.

        Return the outcome of all executions and the result of the last one.
        """

        def execute(parts: list[Fields]) -> Fields:
            # With whatever else was given, so that the module refuses what it does not know.
            return self.execute(module, {**self._task.args, **arguments(), "parts": parts}, task_vars)

        host = task_vars.get("inventory_hostname", "localhost")
        hosts = len(task_vars.get("ansible_play_hosts_all") or [host])
        seen = Seen(self.cache, host)
        sights = seen.of(names)
        foreseen = [] if self._task.check_mode else foresee(sights, groups)
        if not names or not is_little_awaited(sights, groups):
            without_compression(self._connection)
        with Fleet(self._task._uuid, host, hosts) as fleet:
            parts = self._send_all([(bundle, 0) for bundle in foreseen], fleet)
            outcome, result = self._deliver(execute, groups, parts, fleet)
            fleet.end(failed=bool(result.get("failed")))
        if not result.get("failed") and not self._task.check_mode:
            seen.note(names, sights_of(outcome.rows, groups, sights, outcome.decoders))
        return outcome, result

    def _deliver(
        self,
        execute: t.Callable[[list[Fields]], Fields],
        groups: t.Sequence[t.Mapping[str, Bundle]],
        parts: list[Fields],
        fleet: Fleet,
    ) -> tuple[Outcome, Fields]:
        outcome = Outcome()
        awaited: list[Fields] = []
        while True:
            result = execute(parts)
            if result.get("failed") or "environments" not in result:
                return outcome, result
            outcome.add(result)
            if not result["awaited"]:
                return outcome, result
            if result["awaited"] == awaited:
                raise DeployError(f"the host does not take what is sent to it (at {awaited}); report this")
            awaited = result["awaited"]
            places = [row["prefix"] for row in result["environments"]]
            wanted = [_choose(each, groups[places.index(each["prefix"])].values()) for each in awaited]
            if self._task.check_mode:
                return outcome, result
            parts = self._send_all(wanted, fleet)

    def _send_all(self, wanted: t.Iterable[tuple[Bundle, int]], fleet: Fleet) -> list[Fields]:
        """Send one part of each that is *wanted*, from that byte on; return what the module is told of them."""
        distinct = _distinct(wanted)
        if distinct:
            fleet.sending(sum(bundle.size - offset for bundle, offset in distinct))
        return [self._send(*each, fleet) for each in distinct]

    def _send(self, bundle: Bundle, offset: int, fleet: Fleet) -> Fields:
        """Send the part of *bundle* that starts at *offset*; return what the module is told of it."""
        remote = f"{remote_path(self)}-{bundle.stream[:STREAM_NAME]}"
        size = self._part_size()
        part = send_part(self, bundle, offset, remote, size)
        fleet.sent(min(size, bundle.size - offset))
        self._fixup_perms2((os.path.dirname(remote), remote), execute=False)
        return part

    def _part_size(self) -> int:
        """Return the bytes of one part."""
        given = self._task.args.get("part_size") or PART >> 20
        try:
            return max(int(given), 1) << 20
        except ValueError:
            raise DeployError(f"part_size must be a number of MiB, not {given!r} (env_deploy_part_size)") from None


def offers(bundles: t.Mapping[str, Bundle]) -> Fields:
    """Return what a host is told of *bundles*."""
    return {platform: bundle.offer() for platform, bundle in bundles.items()}


def _choose(awaited: Fields, bundles: t.Iterable[Bundle]) -> tuple[Bundle, int]:
    """Return the bundle that a host awaits, in the form that is best for it, and from which byte on."""
    bundle = next(each for each in bundles if each.stream == awaited["stream"])
    suit(bundle, Basis(awaited["base"], tuple(awaited["lost"])), awaited["decoders"])
    if awaited["short"] and not bundle.basis.base:
        raise DeployError(awaited["short"])
    if bundle.stream == awaited["stream"]:
        return bundle, awaited["offset"]
    return bundle, awaited["held"].get(bundle.stream[:STREAM_NAME], 0)


def _distinct(wanted: t.Iterable[tuple[Bundle, int]]) -> list[tuple[Bundle, int]]:
    """Return one of each that is awaited: two environments of one bundle share what is sent."""
    return list({(bundle.stream, offset): (bundle, offset) for bundle, offset in wanted}.values())
