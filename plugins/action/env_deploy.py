# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of M(airgap.conda.env_deploy): offers bundles, sends what the host awaits, shows packages."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.validation import check_type_list
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import SOURCE_CONTROLLER
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle, Shelf
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import prune
from ansible_collections.airgap.conda.plugins.plugin_utils._caller import caller
from ansible_collections.airgap.conda.plugins.plugin_utils._delivery import Delivery, offers

Fields = t.Dict[str, t.Any]


class ActionModule(Delivery):
    """Executes the module until it awaits nothing more."""

    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        environments = self._task.args.get("environments")
        if not isinstance(environments, list) or not all(isinstance(each, dict) for each in environments):
            raise DeployError("environments must be a list of dictionaries; see ansible-doc airgap.conda.env_deploy")
        shelf = self.shelf()
        if not self._task.check_mode:
            prune(shelf.cache)
        groups = [self._bundles_of(environment, shelf) for environment in environments]

        def arguments() -> Fields:
            return {"environments": [_order(*each) for each in zip(environments, groups)]}

        names = [_known_by(each) for each in arguments()["environments"]]
        outcome, last = self.deliver("env_deploy", arguments, groups, task_vars, names)
        if last.get("failed") or "environments" not in last:
            return last
        return outcome.result([_packages(each) for each in groups], self._task.diff)

    def _bundles_of(self, environment: Fields, shelf: Shelf) -> dict[str, Bundle]:
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
        found = self.bundles(given, shelf, environment.get("name") or "")
        _check_registration(environment, found.values())
        return found


def _check_registration(environment: Fields, bundles: t.Iterable[Bundle]) -> None:
    """Raise C(DeployError) where users would be offered what is not in one of the *bundles*."""
    register = environment.get("register")
    if not isinstance(register, dict):
        # There is none, or the module refuses it.
        return
    kernel, commands = boolean(register.get("kernel") or False), check_type_list(register.get("commands") or [])
    for bundle in bundles:
        if kernel and not any(package.name == "ipykernel" for package in bundle.manifest.packages):
            raise DeployError(
                f"{bundle.directory} holds no ipykernel, which env_deploy_register_kernel needs; add it to the spec"
            )
        lacking = sorted(set(commands) - bundle.programs()) if commands else []
        if lacking:
            raise DeployError(
                f"{bundle.directory} has no bin/{lacking[0]}, which env_deploy_register_commands names; correct the"
                " name, or add its package to the spec"
            )


def _order(environment: Fields, bundles: dict[str, Bundle]) -> Fields:
    """Return what the module is told: for a bundle its offers, for a name left out that of the bundle."""
    order = {key: value for key, value in environment.items() if key != "bundle"}
    order["by"] = caller()
    if bundles:
        order["name"] = environment.get("name") or next(iter(bundles.values())).manifest.name
        order["offers"] = offers(bundles)
    return order


def _known_by(order: Fields) -> str:
    """Return what an environment of a host is known by from one run to the next; empty where it awaits nothing."""
    source = (order.get("source") or {}).get("type") or SOURCE_CONTROLLER
    if order.get("state") == "absent" or source != SOURCE_CONTROLLER:
        return ""
    return f"{order.get('envs_dir') or ''}/{order['name']}"


def _packages(bundles: dict[str, Bundle]) -> dict[str, tuple[Package, ...]]:
    """Return the packages of each bundle by content id."""
    return {bundle.manifest.content_id: bundle.manifest.packages for bundle in bundles.values()}
