# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of M(airgap.conda.bundle_import): paths of the caller."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._interpreter import with_builder_python


class ActionModule(AirgapAction):
    """Runs the module where bundles are."""

    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        arguments = {"dist": "dist", **self._task.args}
        if self.is_local:
            task_vars = with_builder_python(task_vars, self._task.delegate_to)
            arguments = self.with_caller_paths(arguments, "medium", "dist")
        return self.execute("bundle_import", arguments, task_vars)
