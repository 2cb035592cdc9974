#!/usr/bin/python
# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: env_drift_info
short_description: Tell how environments on hosts differ from what was deployed
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Compares each environment with the receipt of what was deployed, and, where a bundle is named, with what the
    inventory asks for. Says what differs, of which kind, and which package it belongs to.
  - Nothing is changed. Where the user may write into the store and it is not check mode, the note of what was seen
    intact is refreshed, so that the next run reads less.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
attributes:
  check_mode:
    details:
      - Nothing at all is written then.
options:
  environments:
    description:
      - The environments of this host. The same list serves M(airgap.conda.env_deploy), whose keys that say how to
        deploy are not looked at.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the environment. Defaults to the bundle's.
        type: str
      bundle:
        description:
          - What shall be live, a directory of a bundle on the controller, or a dictionary from platform (such as
            V(linux-64)) to directory. Only its manifest is read.
          - Without it, the environment is compared with its receipt alone.
        type: raw
      state:
        description:
          - Whether the inventory wants the environment.
        type: str
        choices: [present, absent]
        default: present
      envs_dir:
        description:
          - Directory on the host below which the environment is live.
        type: path
        default: /opt/conda/envs
      owner:
        description:
          - User who shall own the files. Defaults to the owner they were deployed for.
        type: str
      group:
        description:
          - Group the files shall have. Defaults to the one they were deployed for.
        type: str
      bytecode:
        description:
          - Whether bytecode shall have been compiled. Defaults to what was done.
        type: bool
      register:
        description:
          - Who shall know the environment. Without it, what was registered shall still be there.
        type: dict
        suboptions:
          conda_root:
            description: Where conda is installed on the host, if it is.
            type: path
            default: /opt/conda
          users:
            description: Users in whose C(~/.conda/environments.txt) the environment is listed.
            type: list
            elements: str
            default: []
          profile:
            description: Whether login shells activate it.
            type: bool
            default: false
          commands:
            description: Programs of the environment linked in C(/usr/local/bin), or a plain user's C(~/.local/bin).
            type: list
            elements: str
            default: []
          kernel:
            description: Whether Jupyter offers it.
            type: bool
            default: false
          frozen:
            description: Whether it is marked as not to be changed by conda and pip.
            type: bool
            default: false
      offers:
        description: What the bundles are. Set by the action plugin.
        type: dict
  mode:
    description:
      - V(quick) compares the stat of everything with when it was last seen intact, and reads the files whose stat
        differs. Restoring size and time of a file does not hide a change from it, as the inode and the time at which
        the stat last changed are compared too.
      - V(full) reads every file, in as many processes as there are processors. Only it finds what changed below the
        file system (a failing disk), and what root hid by setting the clock back.
      - The first quick run after files were restored or given to another owner takes as long as a full one.
    type: str
    choices: [quick, full]
    default: quick
  ignore:
    description:
      - Paths that are no drift, below the prefix, as shell patterns in which an asterisk stands for slashes too. What
        is below a directory that is named is ignored as well.
      - Paths of registration outside of the prefix are absolute.
    type: list
    elements: str
    default: []
notes:
  - O(progress_file) and O(environments[].offers) belong to the action plugin; what a playbook gives there is not used.
  - What a file holds is never told, only that it differs.
  - The role C(airgap.conda.env_drift) compares a fleet with what its inventory asks for, and writes reports.
seealso:
  - module: airgap.conda.env_deploy
    description: Deploys, and puts right what was damaged.
"""

EXAMPLES = r"""
- name: Compare an environment with what was deployed
  airgap.conda.env_drift_info:
    environments:
      - name: my_env

- name: Read every file, and compare with the bundle that shall be live
  airgap.conda.env_drift_info:
    mode: full
    ignore: ["etc/jupyter/*"]
    environments:
      - bundle: dist/my_env-linux-64
        register:
          commands: [python3.11]
"""

RETURN = r"""
status:
  description:
    - V(clean), V(drift), or V(unchecked) where no drift was found but not everything could be looked at.
  returned: success
  type: str
  sample: drift
checked_at:
  description: When it was looked at, ISO 8601 UTC, by the host's clock.
  returned: success
  type: str
environments:
  description: Each environment.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    prefix:
      description: Where it is live.
      type: str
    status:
      description: As RV(status), of this environment.
      type: str
    generation:
      description: Name of the live generation, empty if nothing of ours is live.
      type: str
    content_id:
      description: What is live.
      type: str
    wanted:
      description: Content id that the inventory asks for, empty if it names no bundle.
      type: str
    deployed_at:
      description: When that was deployed, ISO 8601 UTC.
      type: str
    seconds:
      description: How long looking took.
      type: float
    explanations:
      description: What differs, in sentences, the worst first.
      type: list
      elements: str
      sample: ["requests 2.31.0 → 2.32.3, installed by pip on the host (14 files)", "numpy: 1 of 812 files modified"]
    findings:
      description: Every difference, the worst first.
      type: list
      elements: dict
      contains:
        kind:
          description: What differs.
          type: str
          sample: modified
        path:
          description: Path below the prefix; of registration, absolute; empty for the environment as a whole.
          type: str
        package:
          description: The package it belongs to, if one can be told.
          type: str
        detail:
          description: What was, and what is.
          type: str
          sample: 0755 → 4755
    benign:
      description:
        - Differences that are none, such as caches of unchanged sources, and those that O(ignore) names; they have the
          same keys.
        - What a refreshed note has taken in is not told again.
      type: list
      elements: dict
      contains:
        kind:
          description: What differs.
          type: str
        path:
          description: Where.
          type: str
        package:
          description: Empty.
          type: str
        detail:
          description: What was, and what is.
          type: str
    unchecked:
      description: What could not be looked at.
      type: list
      elements: dict
      contains:
        path:
          description: Where; empty for the environment as a whole.
          type: str
        reason:
          description: Why.
          type: str
"""

import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.drift import inspect
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import REGISTER_OPTIONS


def argument_spec() -> dict[str, t.Any]:
    """Return the parameters, as documented above."""
    environment = {
        "name": {"type": "str"},
        "bundle": {"type": "raw"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "envs_dir": {"type": "path", "default": "/opt/conda/envs"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "bytecode": {"type": "bool"},
        "register": {"type": "dict", "options": REGISTER_OPTIONS},
        "offers": {"type": "dict"},
    }
    return {
        "environments": {"type": "list", "elements": "dict", "required": True, "options": environment},
        "mode": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
        "ignore": {"type": "list", "elements": "str", "default": []},
        "progress_file": {"type": "path"},
    }


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Compare all environments with their orders."""
    orders = [{**each, "verify": module.params["mode"]} for each in module.params["environments"]]
    with Progress(module.params["progress_file"]) as progress:
        return {"changed": False, **inspect(orders, module.params["ignore"], not module.check_mode, progress)}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    os.umask(0o022)
    answer(
        module,
        functools.partial(run, module),
        "{where}: {reason}; look as who deployed, or use become",
        "this host",
    )


if __name__ == "__main__":
    main()
