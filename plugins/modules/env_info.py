#!/usr/bin/python

# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: env_info
short_description: Tell which environments and generations are on a host
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Tells of the environments that were deployed to a host which generation is live, which others are kept, where each
    came from, and which processes still run from one that is not live any more.
  - Nothing is changed, and no file of an environment is read.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.actiongroup_conda
attributes:
  check_mode:
    details:
      - Nothing is changed anyway.
  diff_mode:
    support: N/A
    details:
      - Nothing is changed.
options:
  envs_dirs:
    description:
      - Directories on the host below which environments are live.
    type: list
    elements: path
    default: [/opt/conda/envs]
  names:
    description:
      - Names of the environments to tell of. The default is all.
    type: list
    elements: str
    default: []
notes:
  - Of the processes of other users only root is told.
seealso:
  - module: airgap.conda.env_deploy
    description: Makes generations.
  - module: airgap.conda.env_rollback
    description: Goes back to one of those that are told here.
"""

EXAMPLES = r"""
- name: Ask what is on the host
  airgap.conda.env_info:
  register: found

- name: Name what still runs from an old generation
  ansible.builtin.debug:
    msg: "{{ found.environments | map(attribute='processes') | flatten }}"

- name: Ask about one environment, in another directory
  airgap.conda.env_info:
    envs_dirs: [/srv/envs]
    names: [my_env]
"""

RETURN = r"""
environments:
  description: The environments, by prefix. One that was never deployed by this collection is not among them.
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
    content_id:
      description: What is live there, empty for nothing.
      type: str
    generation:
      description: Name of the live generation, empty for none.
      type: str
    generations:
      description: Those that are on the host, the oldest first.
      type: list
      elements: dict
      contains:
        generation:
          description: Its name.
          type: str
        content_id:
          description: What it holds.
          type: str
        live:
          description: Whether it is live.
          type: bool
        failure:
          description: What its health check said, where that failed.
          type: str
        created:
          description: When it was made, ISO 8601 UTC.
          type: str
        by:
          description: Who ran Ansible then, and where, such as V(ada@controller).
          type: str
        bundle:
          description: Label of the bundle it was made of.
          type: str
        packed:
          description: When that was packed, ISO 8601 UTC.
          type: str
        size_own:
          description: Bytes of the files that no other generation shares.
          type: int
        size_shared:
          description: Bytes of the files that are one with those of other generations.
          type: int
    switches:
      description: What became live when, the first one first.
      type: list
      elements: dict
      contains:
        generation:
          description: What became live.
          type: str
        before:
          description: What was live until then, empty for nothing.
          type: str
        how:
          description:
            - V(deploy) or V(rollback); V(found) where the run that did it was interrupted before it could record it.
          type: str
        at:
          description: When, ISO 8601 UTC.
          type: str
        by:
          description: Who ran Ansible, and where.
          type: str
    processes:
      description: Those that run from a generation that is not live. They keep what they have opened.
      type: list
      elements: dict
      contains:
        pid:
          description: Its number.
          type: int
        user:
          description: Whose it is.
          type: str
        command:
          description: Name of its program, without arguments.
          type: str
        generation:
          description: What it runs from, empty for one that is not kept any more.
          type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.inspecting import inspect


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "envs_dirs": {"type": "list", "elements": "path", "default": ["/opt/conda/envs"]},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params["envs_dirs"], module.params["names"]
    answer(
        module,
        lambda: {"changed": False, "environments": inspect(*given)},
        "{where}: {reason}; look as who deployed, or use become",
        "this host",
    )


if __name__ == "__main__":
    main()
