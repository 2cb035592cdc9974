#!/usr/bin/python

# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bundle_import
short_description: Take bundles and deltas off the medium on which they crossed the gap
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Takes what M(airgap.conda.bundle_export) wrote off a medium, into a directory of bundles, every byte verified.
  - A medium that is damaged or incomplete is refused, and the part is named. What is there already is not read again.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
  - airgap.conda._options.paths
options:
  medium:
    description:
      - Directory that was written by M(airgap.conda.bundle_export); it may be read-only.
    type: path
    required: true
  dist:
    description:
      - Directory in which bundles lie afterwards, each in the directory of its own name.
    type: path
    default: dist
seealso:
  - module: airgap.conda.bundle_export
    description: Writes the medium.
  - module: airgap.conda.bundle_delta
    description: Makes a bundle of a delta.
"""

EXAMPLES = r"""
- name: Take what came on the stick
  airgap.conda.bundle_import:
    medium: stick
"""

RETURN = r"""
bundles:
  description: Directories of the bundles that the medium holds.
  returned: success
  type: list
  elements: str
  sample: [/home/me/dist/my_env-linux-64-0123456789ab]
deltas:
  description: Directories of the deltas that the medium holds.
  returned: success
  type: list
  elements: str
actions:
  description: What was done, or in check mode would be, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["take /home/me/dist/my_env-linux-64-0123456789ab"]
"""

import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.media import is_taken, read_medium, take
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.medium import BUNDLE, DELTA, START


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Take, or in check mode say what would be taken."""
    medium, dist = module.params["medium"], module.params["dist"]
    items = [item for item in read_medium(medium) if item.kind != START]
    actions = []
    with Progress(module.params["progress_file"]) as progress:
        for item in items:
            if not is_taken(item, dist):
                actions.append(f"take {os.path.join(dist, item.name)}")
                if not module.check_mode:
                    take(item, medium, dist, progress)
    places = {kind: [os.path.join(dist, item.name) for item in items if item.kind == kind] for kind in (BUNDLE, DELTA)}
    return {"changed": bool(actions), "actions": actions, "bundles": places[BUNDLE], "deltas": places[DELTA]}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "medium": {"type": "path", "required": True},
            "dist": {"type": "path", "default": "dist"},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    answer(
        module,
        functools.partial(run, module),
        "{where}: {reason}; run again to go on",
        module.params["dist"],
    )


if __name__ == "__main__":
    main()
