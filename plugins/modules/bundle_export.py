#!/usr/bin/python

# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bundle_export
short_description: Write bundles and deltas to a medium that crosses the gap
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Writes bundles, deltas, and what a controller starts from to a directory, such as a mounted stick, in parts that
    FAT32 can hold, with a list of checksums for C(sha256sum -c) and a C(README.txt) for whoever finds it.
  - What is there already is not written again, part by part; so a run that was stopped goes on.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
  - airgap.conda._options.paths
options:
  bundles:
    description:
      - Directories of bundles, and of deltas that M(airgap.conda.bundle_delta) made.
    type: list
    elements: path
    required: true
  medium:
    description:
      - Directory to write to.
    type: path
    required: true
  part_size:
    description:
      - Bytes of the largest file that is written. The default is the most that FAT32 can hold.
    type: int
    default: 4294967295
  start:
    description:
      - What a controller that has nothing starts from, to be carried in the directory C(start), such as the tarball of
        this collection, and a directory with the wheels of Ansible.
    type: list
    elements: path
    default: []
notes:
  - The medium holds no links, and no two names that differ in case only.
seealso:
  - module: airgap.conda.bundle_import
    description: Takes them off again.
"""

EXAMPLES = r"""
- name: Write a bundle, and what a controller needs to start, to a stick
  airgap.conda.bundle_export:
    bundles: [dist/my_env-linux-64]
    medium: stick
    start: [wheels]
  register: written

- name: Tell what to compare behind the gap
  ansible.builtin.debug:
    msg: "sha256 of SHA256SUMS: {{ written.checksum }}"
"""

RETURN = r"""
medium:
  description: Directory that was written to.
  returned: success
  type: str
  sample: /media/stick
checksum:
  description:
    - The sha256 of the list of checksums. Whoever gets it another way than by the medium can verify all of it.
    - Empty in check mode.
  returned: success
  type: str
carried:
  description: Names of what the medium holds.
  returned: success
  type: list
  elements: str
  sample: [my_env-linux-64-0123456789ab, start]
actions:
  description: What was done, or in check mode would be, in sentences.
  returned: success
  type: list
  elements: str
"""

import functools
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import find_bundle
from ansible_collections.airgap.conda.plugins.module_utils._host.media import export, planned, source_of, start_of
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.medium import PART_MAX


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Write, or in check mode say what writing would do."""
    given = module.params
    sources = [source_of(find_bundle(path)) for path in given["bundles"]]
    sources += [start_of(given["start"])] if given["start"] else []
    facts = {"medium": given["medium"], "carried": [source.name for source in sources], "checksum": ""}
    if module.check_mode:
        actions = planned(sources, given["medium"], given["part_size"])
        return {**facts, "changed": bool(actions), "actions": actions}
    with Progress(given["progress_file"]) as progress:
        exported = export(sources, given["medium"], given["part_size"], progress)
    changed = {"changed": bool(exported.changed), "actions": exported.changed}
    return {**facts, **changed, "checksum": exported.checksum}


def main() -> None:
    paths = {"type": "list", "elements": "path"}
    module = AnsibleModule(
        argument_spec={
            "bundles": {**paths, "required": True},
            "medium": {"type": "path", "required": True},
            "part_size": {"type": "int", "default": PART_MAX},
            "start": {**paths, "default": []},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if module.params["part_size"] < 1:
        module.fail_json(msg="part_size must be at least one byte (bundle_export_part_size)")
    answer(
        module,
        functools.partial(run, module),
        "{where}: {reason}; run again to go on",
        module.params["medium"],
    )


if __name__ == "__main__":
    main()
