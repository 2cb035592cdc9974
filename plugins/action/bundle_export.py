# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of M(airgap.conda.bundle_export): paths of the caller."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._interpreter import with_builder_python


class ActionModule(AirgapAction):
    """Runs the module where bundles are."""

    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        arguments = dict(self._task.args)
        if self.is_local:
            task_vars = with_builder_python(task_vars, self._task.delegate_to)
            if arguments.get("medium"):
                arguments["medium"] = self.caller_path(arguments["medium"])
            for name in ("bundles", "start"):
                given = arguments.get(name) or []
                arguments[name] = [self.caller_path(path) for path in ([given] if isinstance(given, str) else given)]
        return self.execute("bundle_export", arguments, task_vars)
