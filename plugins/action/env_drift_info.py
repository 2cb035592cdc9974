# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of M(airgap.conda.env_drift_info): tells hosts what their bundles are, and explains other ones."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle, Shelf
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import default_cache
from ansible_collections.airgap.conda.plugins.plugin_utils._drift import with_package_changes

Fields = t.Dict[str, t.Any]


#: Keys of an environment that say how to deploy it, and nothing of what it shall be.
HOW_TO_DEPLOY = ("health", "verify", "source", "keep", "collect_used", "share", "on_unexpected", "adopt")


class ActionModule(AirgapAction):
    """Executes the module once."""

    # As with rollouts: those of a fleet are noise.
    progress_verbosity = 1

    def reconcile(self, task_vars: Fields) -> Fields:
        environments = self._task.args.get("environments")
        if not isinstance(environments, list) or not all(isinstance(each, dict) for each in environments):
            raise DeployError(
                "environments must be a list of dictionaries; see ansible-doc airgap.conda.env_drift_info"
            )
        shelf = Shelf(self.caller_path(default_cache()))
        bundles = [self._bundles(environment, shelf) for environment in environments]
        orders = [_order(*each) for each in zip(environments, bundles)]
        result = self.execute("env_drift_info", {**self._task.args, "environments": orders}, task_vars)
        for row, offered in zip(result.get("environments", ()), bundles):
            wanted = [bundle.manifest for bundle in offered.values() if bundle.manifest.content_id == row["wanted"]]
            with_package_changes(row, wanted[0].packages if wanted else ())
        return result

    def _bundles(self, environment: Fields, shelf: Shelf) -> dict[str, Bundle]:
        given = environment.get("bundle")
        if not given or environment.get("state") == "absent":
            return {}
        return shelf.by_platform(given, self.caller_path, environment.get("name") or "")


def _order(environment: Fields, bundles: dict[str, Bundle]) -> Fields:
    """Return what the module is told: for a bundle its offers, for a name left out that of the bundle."""
    order = {key: value for key, value in environment.items() if key not in ("bundle", *HOW_TO_DEPLOY)}
    if not order.get("name"):
        if not bundles:
            raise DeployError(
                "an environment to be looked at needs its name or its bundle (env_deploy_name, env_deploy_bundle)"
            )
        order["name"] = next(iter(bundles.values())).manifest.name
    order["offers"] = {platform: bundle.offer() for platform, bundle in bundles.items()}
    return order
