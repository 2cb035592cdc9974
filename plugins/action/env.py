# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of M(airgap.conda.env): reads the spec, which is on the controller wherever the builder is."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._interpreter import with_builder_python
from ansible_collections.airgap.conda.plugins.plugin_utils._specs import included_files, read_spec


class ActionModule(AirgapAction):
    """Sends the text of the spec, and paths that do not depend on where the module runs."""

    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        arguments = dict(self._task.args)
        if arguments.get("spec"):
            arguments["spec"] = self.caller_path(arguments["spec"])
            arguments["content"] = read_spec(arguments["spec"])
            arguments["files"] = included_files(arguments["content"], arguments["spec"])
        if isinstance(arguments.get("channels"), list):
            arguments["channels"] = [self._channel(channel) for channel in arguments["channels"]]
        if self.is_local:
            if arguments.get("workdir"):
                arguments["workdir"] = self.caller_path(arguments["workdir"])
            # A name alone is looked for in PATH.
            if "/" in (arguments.get("conda_exe") or ""):
                arguments["conda_exe"] = self.caller_path(arguments["conda_exe"])
            task_vars = with_builder_python(task_vars, self._task.delegate_to)
        return self.execute("env", arguments, task_vars)

    def _channel(self, channel: str) -> str:
        is_relative = channel.startswith(("./", "../")) or channel in (".", "..")
        return self.caller_path(channel) if is_relative and self.is_local else channel
