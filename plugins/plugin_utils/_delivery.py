# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Deliver: execute a module, and send what it awaits, until it awaits nothing more."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle, Shelf, default_cache
from ansible_collections.airgap.conda.plugins.plugin_utils._outcome import Outcome
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
        return Shelf(self.caller_path(self._task.args.get("cache") or default_cache()))

    def bundles(self, given: t.Any, shelf: Shelf) -> dict[str, Bundle]:
        """Return the bundles of one environment by platform; *given*: a directory, or one for each platform."""
        paths = given if isinstance(given, dict) else {"": given}
        found = {platform: shelf.bundle(self.caller_path(path)) for platform, path in paths.items()}
        _check_platforms(found)
        return {bundle.manifest.needs.platform: bundle for bundle in found.values()}

    def deliver(
        self,
        module: str,
        arguments: t.Callable[[], Fields],
        bundles: t.Sequence[Bundle],
        task_vars: dict[str, t.Any],
    ) -> tuple[Outcome, Fields]:
        """Execute *module* with *arguments*, which are asked for each time, as a bundle may come to be encoded anew.

        Return the outcome of all executions and the result of the last one.
        """
        without_compression(self._connection)
        outcome = Outcome()
        parts: list[Fields] = []
        awaited: list[Fields] = []
        while True:
            # With whatever else was given, so that the module refuses what it does not know.
            result = self.execute(module, {**self._task.args, **arguments(), "parts": parts}, task_vars)
            if result.get("failed") or "environments" not in result:
                return outcome, result
            outcome.add(result)
            if not result["awaited"] or self._task.check_mode:
                return outcome, result
            if result["awaited"] == awaited:
                raise DeployError(f"the host does not take what is sent to it (at {awaited}); report this")
            awaited = result["awaited"]
            parts = [part for each in _distinct(awaited) for part in self._send(each, bundles)]

    def _send(self, awaited: Fields, bundles: t.Sequence[Bundle]) -> list[Fields]:
        """Return what the module is told of the part that is awaited; nothing where it must say anew which part."""
        bundle = next(each for each in bundles if each.stream == awaited["stream"])
        bundle.verify()
        if bundle.codec not in awaited["decoders"]:
            bundle.encode(awaited["decoders"][0])
            return []
        remote = f"{remote_path(self)}-{bundle.stream[:12]}"
        part = send_part(self, bundle, awaited["offset"], remote, self._part_size())
        self._fixup_perms2((os.path.dirname(remote), remote), execute=False)
        return [part]

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


def _check_platforms(bundles: dict[str, Bundle]) -> None:
    """Raise C(DeployError) where the inventory and a bundle's manifest are of two minds."""
    for platform, bundle in bundles.items():
        actual = bundle.manifest.needs.platform
        if platform and platform != actual:
            raise DeployError(f"{bundle.directory} is for {actual}, and named as the bundle for {platform}")


def _distinct(awaited: t.Iterable[Fields]) -> list[Fields]:
    """Return one of each that is awaited: two environments of one bundle share what is sent."""
    return list({(each["stream"], each["offset"]): each for each in awaited}.values())
