# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of M(airgap.conda.env_drift_verdict): judges one host by what was found there."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.findings import DRIFT, UNCHECKED
from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._drift import host_of, sentences

Fields = t.Dict[str, t.Any]


class ActionModule(AirgapAction):
    """Connects to nothing."""

    def reconcile(self, task_vars: Fields) -> Fields:
        _validated, given = self.validate_argument_spec(
            {"result": {"type": "dict", "required": True}, "fail": {"type": "bool", "default": True}}
        )
        host = host_of(task_vars["inventory_hostname"], given["result"])
        verdict: Fields = {"changed": False, "status": host["status"], "msg": "\n".join(sentences(host))}
        if host["status"] == UNCHECKED:
            verdict["unreachable"] = True
        elif host["status"] == DRIFT and given["fail"]:
            verdict["failed"] = True
        return verdict
