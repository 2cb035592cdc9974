#!/usr/bin/python
# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bundle_info
short_description: Read, verify and compare bundles
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Tells what a bundle is and holds, and whether it is whole.
  - Compares it with an earlier one, by package, by file and in size, and tells whether the C(environment.yml) changed
    since the bundle was built.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
attributes:
  diff_mode:
    support: full
    details:
      - With O(compare), of the two lists of packages.
  platform:
    platforms: posix
options:
  bundle:
    description:
      - Directory of the bundle, or the link or text without the content id that names the newest.
      - Where the task runs on the controller, a relative path means the directory in which Ansible was started.
    type: path
    required: true
  verify:
    description:
      - Read the whole bundle, and compare it with what its manifest says. Without it only sizes are compared.
    type: bool
    default: false
  compare:
    description:
      - Directory of another bundle, such as the one before it.
    type: path
  spec:
    description:
      - An C(environment.yml) on the controller, to be compared with the one the bundle was built from.
    type: path
  spec_sha256:
    description:
      - Digest of O(spec). Set by the action plugin.
    type: str
seealso:
  - module: airgap.conda.bundle
    description: Packs bundles.
"""

EXAMPLES = r"""
- name: What is in the newest bundle, and is it of the environment.yml as it is now?
  airgap.conda.bundle_info:
    bundle: dist/my_env-linux-64
    spec: environment.yml
  register: newest

- name: Say it
  ansible.builtin.debug:
    msg: environment.yml changed since {{ newest.label }} was built
  when: newest.spec == 'changed'

- name: Verify it, and say what differs from the one before
  airgap.conda.bundle_info:
    bundle: dist/my_env-linux-64
    compare: earlier/my_env-linux-64
    verify: true
"""

RETURN = r"""
bundle:
  description: Its directory.
  returned: success
  type: str
name:
  description: Name of the environment.
  returned: success
  type: str
label:
  description: Name, platform and the beginning of the content id, as the directory is called.
  returned: success
  type: str
content_id:
  description: Identity of what it deploys.
  returned: success
  type: str
created:
  description: When it was packed, ISO 8601 UTC.
  returned: success
  type: str
needs:
  description: What a host must have.
  returned: success
  type: dict
  contains:
    platform:
      description: conda's name of it.
      type: str
    glibc:
      description: Least version, or empty.
      type: str
    cuda:
      description: Least version the driver must support, or empty.
      type: str
    prefix_max:
      description: Longest prefix in bytes.
      type: int
    narrowest:
      description: The file that sets it, or empty.
      type: str
    quoting:
      description: A text that holds the prefix, and so takes none with quotes; or empty.
      type: str
    prefix:
      description: The only prefix at which it works, of an archive that was packed for one; or empty.
      type: str
    size:
      description: Bytes of the deployed tree.
      type: int
    inodes:
      description: Files, links and directories of the deployed tree.
      type: int
size:
  description: Bytes of the archive.
  returned: success
  type: int
packages:
  description: The packages in it.
  returned: success
  type: list
  elements: dict
  contains: &package
    name:
      description: Name of the package.
      type: str
    version:
      description: Its version.
      type: str
    build:
      description: Its build; empty for pip's.
      type: str
    channel:
      description: Where it comes from; empty for pip's.
      type: str
    manager:
      description: V(conda) or V(pip).
      type: str
    licence:
      description: The licence it states.
      type: str
verified:
  description: Whether all of it was read.
  returned: success
  type: bool
spec:
  description:
    - V(same) or V(changed) of O(spec), V(unknown) where the bundle does not say what it was built from, empty without
      O(spec).
  returned: success
  type: str
comparison:
  description: How it differs from O(compare), which is before.
  returned: with O(compare)
  type: dict
  contains:
    bundle:
      description: Directory of the other.
      type: str
    same:
      description: Whether both deploy the same.
      type: bool
    actions:
      description: The changes of packages, in sentences.
      type: list
      elements: str
      sample: ["pandas 1.5.2 → 1.5.3"]
    added:
      description: Packages that only this bundle has.
      type: list
      elements: dict
      contains: *package
    removed:
      description: Packages that only the other has.
      type: list
      elements: dict
      contains: *package
    changed:
      description: Packages of other version or build.
      type: list
      elements: dict
      contains:
        before:
          description: As in the other.
          type: dict
          contains: *package
        after:
          description: As in this.
          type: dict
          contains: *package
    size_before:
      description: Bytes of the other's archive.
      type: int
    size_after:
      description: Bytes of this one's archive.
      type: int
    deployed_size_before:
      description: Bytes of the other's deployed tree.
      type: int
    deployed_size_after:
      description: Bytes of this one's deployed tree.
      type: int
    files:
      description: How many files, links and directories differ.
      type: dict
      contains:
        added:
          description: Only in this.
          type: int
        removed:
          description: Only in the other.
          type: int
        changed:
          description: In both.
          type: int
        bytes:
          description: Bytes of what is added or changed, uncompressed.
          type: int
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_reading import read_bundle


def argument_spec() -> dict[str, t.Any]:
    """Return the parameters, as documented above."""
    return {
        "bundle": {"type": "path", "required": True},
        "verify": {"type": "bool", "default": False},
        "compare": {"type": "path"},
        "spec": {"type": "path"},
        "spec_sha256": {"type": "str"},
        "progress_file": {"type": "path"},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    given = [module.params[name] for name in ("bundle", "verify", "compare", "spec_sha256")]
    answer(module, lambda: {"changed": False, **read_bundle(*given)}, "{where} cannot be read: {reason}", given[0])


if __name__ == "__main__":
    main()
