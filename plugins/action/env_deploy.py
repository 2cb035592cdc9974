# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of M(airgap.conda.env_deploy): offers bundles, sends what the host awaits, shows packages."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package
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


class ActionModule(AirgapAction):
    """Executes the module until it awaits nothing more."""

    # One builder's lines are read, those of a fleet are noise; following costs each host some connections.
    progress_verbosity = 1

    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        environments = self._task.args.get("environments")
        if not isinstance(environments, list) or not all(isinstance(each, dict) for each in environments):
            raise DeployError("environments must be a list of dictionaries; see ansible-doc airgap.conda.env_deploy")
        cache = self.caller_path(self._task.args.get("cache") or default_cache())
        shelf = Shelf(cache)
        bundles = [self._bundles(environment, shelf) for environment in environments]
        without_compression(self._connection)
        outcome = Outcome()
        parts: list[Fields] = []
        awaited: list[Fields] = []
        while True:
            orders = [_order(*each) for each in zip(environments, bundles)]
            # With whatever else was given, so that the module refuses what it does not know.
            arguments = {**self._task.args, "environments": orders, "parts": parts}
            result = self.execute("env_deploy", arguments, task_vars)
            if result.get("failed") or "environments" not in result:
                return result
            outcome.add(result)
            if not result["awaited"] or self._task.check_mode:
                return outcome.result([_packages(each) for each in bundles], self._task.diff)
            if result["awaited"] == awaited:
                raise DeployError(f"the host does not take what is sent to it (at {awaited}); report this")
            awaited = result["awaited"]
            parts = [part for each in _distinct(awaited) for part in self._send(each, bundles)]

    def _bundles(self, environment: Fields, shelf: Shelf) -> dict[str, Bundle]:
        """Return the bundles of one environment by platform."""
        if environment.get("state", "present") == "absent":
            if not environment.get("name"):
                raise DeployError("an environment to be removed needs its name (env_deploy_name)")
            return {}
        given = environment.get("bundle")
        if not given:
            raise DeployError(
                f"environment {environment.get('name') or ''} has no bundle; name its directory (env_deploy_bundle)"
            )
        paths = given if isinstance(given, dict) else {"": given}
        found = {platform: shelf.bundle(self.caller_path(path)) for platform, path in paths.items()}
        _check_platforms(found)
        _check_kernel(environment, found.values())
        return {bundle.manifest.needs.platform: bundle for bundle in found.values()}

    def _send(self, awaited: Fields, bundles: t.Sequence[dict[str, Bundle]]) -> list[Fields]:
        """Return what the module is told of the part that is awaited; nothing where it must say anew which part."""
        bundle = next(each for group in bundles for each in group.values() if each.stream == awaited["stream"])
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


def _check_platforms(bundles: dict[str, Bundle]) -> None:
    """Raise C(DeployError) where the inventory and a bundle's manifest are of two minds."""
    for platform, bundle in bundles.items():
        actual = bundle.manifest.needs.platform
        if platform and platform != actual:
            raise DeployError(f"{bundle.directory} is for {actual}, and named as the bundle for {platform}")


def _check_kernel(environment: Fields, bundles: t.Iterable[Bundle]) -> None:
    """Raise C(DeployError) where Jupyter would be offered what it cannot start."""
    register = environment.get("register") or {}
    if not boolean(register.get("kernel") or False):
        return
    for bundle in bundles:
        if not any(package.name == "ipykernel" for package in bundle.manifest.packages):
            raise DeployError(
                f"{bundle.directory} holds no ipykernel, which env_deploy_register_kernel needs; add it to the spec"
            )


def _order(environment: Fields, bundles: dict[str, Bundle]) -> Fields:
    """Return what the module is told: for a bundle its offers, for a name left out that of the bundle."""
    order = {key: value for key, value in environment.items() if key != "bundle"}
    if bundles:
        order["name"] = environment.get("name") or next(iter(bundles.values())).manifest.name
        order["offers"] = {platform: bundle.offer() for platform, bundle in bundles.items()}
    return order


def _distinct(awaited: t.Iterable[Fields]) -> list[Fields]:
    """Return one of each that is awaited: two environments of one bundle share what is sent."""
    return list({(each["stream"], each["offset"]): each for each in awaited}.values())


def _packages(bundles: dict[str, Bundle]) -> dict[str, tuple[Package, ...]]:
    """Return the packages of each bundle by content id."""
    return {bundle.manifest.content_id: bundle.manifest.packages for bundle in bundles.values()}
