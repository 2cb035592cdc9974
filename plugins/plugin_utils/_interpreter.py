# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Which Python a builder's modules run under."""

from __future__ import annotations

import typing as t

from ansible import constants as C


def with_builder_python(task_vars: dict[str, t.Any], delegate: str | None = None) -> dict[str, t.Any]:
    """Return the variables of a task on this machine with Ansible's own Python, beside which the libraries are.

    What the user set, as a variable or in the configuration, stays. Discovery would find any Python, without them.
    """
    own = {"ansible_python_interpreter": task_vars["ansible_playbook_python"]}
    used = task_vars["ansible_delegated_vars"][delegate] if delegate else task_vars
    origin = C.config.get_config_value_and_origin("INTERPRETER_PYTHON", variables=used)[1]
    if origin != "default":
        return task_vars
    if not delegate:
        return {**task_vars, **own}
    delegated = {**task_vars["ansible_delegated_vars"], delegate: {**used, **own}}
    return {**task_vars, "ansible_delegated_vars": delegated}
