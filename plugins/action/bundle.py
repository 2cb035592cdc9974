# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of M(airgap.conda.bundle): paths of the caller, and the bundle of a remote builder brought here."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.licenses import REPORT_NAME
from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._fetch import fetch_bundle
from ansible_collections.airgap.conda.plugins.plugin_utils._interpreter import with_builder_python
from ansible_collections.airgap.conda.plugins.plugin_utils._specs import digest_of_spec


class ActionModule(AirgapAction):
    """Runs the module where the environment is, and fetches what it made."""

    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        arguments = dict(self._task.args)
        dist = self.caller_path(arguments.get("dist", "dist"))
        if arguments.get("spec"):
            arguments["spec"] = self.caller_path(arguments["spec"])
            arguments["spec_sha256"] = digest_of_spec(arguments["spec"])
        if self.is_local:
            task_vars = with_builder_python(task_vars, self._task.delegate_to)
            return self.execute("bundle", {**arguments, "dist": dist}, task_vars)
        result = self.execute("bundle", {**arguments, "dist": "~/.cache/airgap-conda/dist"}, task_vars)
        if result.get("failed") or not result["bundle"] or self._task.check_mode:
            return result
        fetched = fetch_bundle(self, result["bundle"], dist, task_vars)
        report = os.path.join(fetched.directory, REPORT_NAME)
        return {
            **result,
            "bundle": fetched.directory,
            "report": report,
            "changed": result["changed"] or fetched.changed,
        }
