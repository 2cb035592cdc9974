# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of M(airgap.conda.env_rollback): offers the bundle of a damaged generation, shows packages."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package
from ansible_collections.airgap.conda.plugins.plugin_utils._caller import caller
from ansible_collections.airgap.conda.plugins.plugin_utils._delivery import Delivery, offers

Fields = t.Dict[str, t.Any]

_SHOWN = ("name", "prefix", "content_id", "generation", "recovered")


class ActionModule(Delivery):
    """Executes the module, once where the generation is intact."""

    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if not self._task.args.get("name"):
            raise DeployError("name the environment that shall go back to another generation (env_rollback_name)")
        given = self._task.args.get("bundle")
        bundles = self.bundles(given, self.shelf()) if given else {}

        def arguments() -> Fields:
            return {"bundle": None, "offers": offers(bundles), "by": caller()}

        outcome, last = self.deliver("env_rollback", arguments, [bundles], task_vars)
        if last.get("failed") or "environments" not in last:
            return last
        (row,) = last["environments"]
        packages = [Package.from_json(package) for package in row["packages_after"]]
        result = outcome.result([{row["wanted"]: packages}], self._task.diff)
        (shown,) = result.pop("environments")
        return {**result, **{key: shown[key] for key in _SHOWN}}
