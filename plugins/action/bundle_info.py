# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of M(airgap.conda.bundle_info): paths of the caller, and the digest of the spec, which is here."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._specs import digest_of_spec


class ActionModule(AirgapAction):
    """Executes the module where the bundle is."""

    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        arguments = dict(self._task.args)
        if self.is_local:
            arguments = self.with_caller_paths(arguments, "bundle", "compare")
        if arguments.get("spec"):
            arguments["spec"] = self.caller_path(arguments["spec"])
            arguments["spec_sha256"] = digest_of_spec(arguments["spec"])
        result = self.execute("bundle_info", arguments, task_vars)
        if not self._task.diff:
            result.pop("diff", None)
        return result
