# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of M(airgap.conda.env_drift_report): brings together what hosts said, shows it, and writes reports."""

from __future__ import annotations

import typing as t

from ansible import constants as C
from ansible.utils.display import Display
from ansible_collections.airgap.conda.plugins.module_utils._model.findings import (
    CLEAN,
    DRIFT,
    UNCHECKED,
    printable,
)
from ansible_collections.airgap.conda.plugins.plugin_utils._action import AirgapAction
from ansible_collections.airgap.conda.plugins.plugin_utils._drift import fleet_of, paths, sentences
from ansible_collections.airgap.conda.plugins.plugin_utils._drift_reports import write_reports

Fields = t.Dict[str, t.Any]

display = Display()

#: As Ansible colours what went well, what differs, and whom it did not reach.
_COLOURS = {CLEAN: "COLOR_OK", DRIFT: "COLOR_CHANGED", UNCHECKED: "COLOR_UNREACHABLE"}
_WORDS = {CLEAN: "clean", DRIFT: "drift", UNCHECKED: "could not be checked"}


class ActionModule(AirgapAction):
    """Connects to nothing."""

    def reconcile(self, task_vars: Fields) -> Fields:
        _validated, given = self.validate_argument_spec(
            {
                "variable": {"type": "str", "required": True},
                "mode": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
                "report_dir": {"type": "path"},
            }
        )
        every = task_vars["hostvars"]
        results = {host: every[host].get(given["variable"]) or {} for host in task_vars["ansible_play_hosts_all"]}
        fleet = fleet_of(results, given["mode"])
        _show(fleet)
        directory = given["report_dir"]
        reports = write_reports(fleet, self.caller_path(directory)) if directory else {}
        if reports:
            display.display(f"  the whole report: {reports['html']}")
        shown = {key: fleet[key] for key in ("status", "hosts_by_status")}
        return {"changed": False, **shown, "reports": reports}


def _show(fleet: Fields) -> None:
    """Display each host that is not clean, the worst first, and the numbers of all; with -v each path."""
    for host in fleet["hosts"]:
        colour = getattr(C, _COLOURS[host["status"]])
        if host["status"] == CLEAN:
            continue
        for line in sentences(host):
            display.display(f"  {host['host']}: {printable(line)}", color=colour)
        for line in paths(host):
            display.v(f"  {host['host']}: {line}")
    for status, number in fleet["hosts_by_status"].items():
        if number:
            hosts = "1 host" if number == 1 else f"{number} hosts"
            display.display(f"  {hosts} {_WORDS[status]}", color=getattr(C, _COLOURS[status]))
