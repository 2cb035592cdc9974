#!/usr/bin/python

# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: env_rollback
short_description: Make an earlier generation of an environment live again
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Takes back the last rollout of an environment, or makes live any generation that is kept on the host. Nothing is
    sent, and no file is read whose stat is as it was when it was last seen intact.
  - What becomes live is registered as what was live is, and has to pass the health check that it was deployed with;
    where it does not, what was live stays so, or is so again.
  - Files that somebody put into the environment stay with the generation that they were put into.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
  - airgap.conda._options.parts
attributes:
  check_mode:
    details:
      - The generation is looked for, and its files are compared with its receipt. Health is not checked.
  diff_mode:
    support: full
    details:
      - The diff is of package lists; where no package changes, it is what would be done, in sentences.
  idempotent:
    details:
      - Without O(to) the last rollout is taken back once, however often that is asked for.
options:
  name:
    description:
      - Name of the environment.
    type: str
    required: true
  envs_dir:
    description:
      - Directory on the host below which the environment is live.
    type: path
    default: /opt/conda/envs
  to:
    description:
      - The generation to be live, by its number, its name, or the beginning of its content id (four characters or
        more). M(airgap.conda.env_info) tells which there are. It may be a newer one than the live one.
      - By default the one whose place the last rollout took; nothing is done where that was taken back already.
    type: str
  force:
    description:
      - Do not look at the files of the generation, and do not check its health. Also makes one live that failed its
        health check when it was deployed.
    type: bool
    default: false
  bundle:
    description:
      - Directory of the bundle on the controller that the generation was made of, or a dictionary from platform to
        directory. It is sent only if files of the generation are damaged or missing, which is refused without it.
    type: raw
  cache:
    description:
      - Directory of the controller, as of M(airgap.conda.env_deploy).
    type: path
  offers:
    description:
      - What the bundles are. Set by the action plugin.
    type: dict
  by:
    description:
      - Who runs Ansible, and where, for the record. Set by the action plugin.
    type: str
notes:
  - The role C(airgap.conda.env_rollback) does the same with variables that an inventory can set.
seealso:
  - module: airgap.conda.env_deploy
    description: Makes generations.
  - module: airgap.conda.env_info
    description: Tells which generations are kept.
"""

EXAMPLES = r"""
- name: Take the last rollout back
  airgap.conda.env_rollback:
    name: my_env

- name: Go to a certain generation
  airgap.conda.env_rollback:
    name: my_env
    to: 2

- name: Go back to it, and if its files are damaged, take them from its bundle
  airgap.conda.env_rollback:
    name: my_env
    to: 1
    bundle: dist/my_env-linux-64
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["replace generation 0003-0123456789ab by 0002-ba9876543210 at /opt/conda/envs/my_env"]
name:
  description: Name of the environment.
  returned: success
  type: str
prefix:
  description: Where it is live.
  returned: success
  type: str
content_id:
  description: What is live there.
  returned: success
  type: str
generation:
  description: Name of the live generation.
  returned: success
  type: str
recovered:
  description: What an earlier, interrupted run had left.
  returned: success
  type: list
  elements: str
"""

import contextlib
import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.rolling_back import roll_back
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import PART_OPTIONS


def argument_spec() -> dict[str, t.Any]:
    """Return the parameters, as documented above."""
    return {
        "name": {"type": "str", "required": True},
        "envs_dir": {"type": "path", "default": "/opt/conda/envs"},
        "to": {"type": "str"},
        "force": {"type": "bool", "default": False},
        "bundle": {"type": "raw"},
        "cache": {"type": "path"},
        "offers": {"type": "dict"},
        "by": {"type": "str"},
        "parts": {"type": "list", "elements": "dict", "default": [], "options": PART_OPTIONS},
        "progress_file": {"type": "path"},
    }


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Make another generation live."""
    with Progress(module.params["progress_file"]) as progress, contextlib.ExitStack() as locks:
        return roll_back(module.params, module.params["parts"], module.check_mode, progress, locks)


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    # Modes are what receipts say, whatever the umask of the login is.
    os.umask(0o022)
    answer(
        module,
        functools.partial(run, module),
        "{where}: {reason}; the live environment is whole, run again to finish",
        "this host",
    )


if __name__ == "__main__":
    main()
