#!/usr/bin/python

# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bundle
short_description: Pack a conda environment into a bundle that crosses an air gap
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Packs any conda environment prefix, made by M(airgap.conda.env) or by hand, into a directory that holds a plain
    conda-pack archive, the canonical file list and a manifest.
  - The same environment gives the same content id and the same uncompressed tar, wherever and by whomever it was built.
  - Refuses an environment that cannot be carried faithfully, such as one where pip changed files of conda packages.
  - Derives a bundle from an archive that was packed by hand with conda-pack, too; defects of such archives are found,
    repaired where that can be done for sure, and else refused by name.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
attributes:
  check_mode:
    details:
      - The content id is computed as when packing; of an environment that is still to be made nothing can be told.
options:
  prefix:
    description:
      - Path of the environment on the builder. Either this or O(archive) is required.
    type: path
  archive:
    description:
      - Path of an archive that conda-pack wrote, by hand, on the builder; C(.tar.zst), C(.tar.gz), C(.tar.bz2),
        C(.tar.xz), C(.tar) or C(.zip), known by its content. On a local builder, relative to the directory in which
        Ansible was started.
      - It is read and not unpacked, and nothing of it is executed.
    type: path
  name:
    description:
      - Name of the bundle, and of the environment on hosts.
    type: str
    required: true
  platform:
    description:
      - Platform of the hosts, as conda names it. Only used when every package is for any platform (C(noarch)).
    type: str
    default: linux-64
  dist:
    description:
      - Directory in which bundles are put; a relative path means the directory in which Ansible was started.
      - With a remote builder, a directory of the controller, to which the bundle is fetched.
    type: path
    default: dist
  spec:
    description:
      - The C(environment.yml) the environment was built from, on the controller. Its digest goes into the manifest.
    type: path
  spec_sha256:
    description:
      - Digest of O(spec). Set by the action plugin.
    type: str
    default: ""
  licenses:
    description:
      - Which licences the packages may have. An environment with others is refused before anything is packed, and so is
        one that was packed before under other rules.
      - Licences are read as SPDX expressions, in any case and in usual spellings such as C(GPLv3+); of an C(OR) one
        part must be allowed, of an C(AND) each.
      - A name outranks a pattern, and denying outranks allowing.
    type: dict
    version_added: 0.1.0
    suboptions:
      allow:
        description:
          - Licences, expressions, or patterns such as V(BSD-*). The default is all.
        type: list
        elements: str
        default: []
      deny:
        description:
          - Licences, expressions, or patterns such as V(GPL-*).
        type: list
        elements: str
        default: []
      allow_unknown:
        description:
          - Whether a package may state no licence, or one that is no expression and that O(licenses.allow) does not
            name as it stands. The default is V(false) with one of the lists, else V(true).
        type: bool
      exempt:
        description:
          - Names of packages, or patterns, that are not judged.
        type: list
        elements: str
        default: []
  leaks:
    description:
      - What happens when files that would be packed name the builder.
      - Every byte, name and link target that is packed is searched for the prefix, the package cache, the home
        directory of who builds, and C(user@machine). A user's name alone is mostly a word, such as C(build), and homes
        that everybody has, such as C(/root), tell nothing, so both are not looked for. Compressed files are not opened.
      - What names the prefix does not work on hosts, so it is refused under either policy.
    type: dict
    version_added: 0.1.0
    suboptions:
      policy:
        description:
          - V(refuse) packs nothing and names the files. V(report) packs them and warns.
        type: str
        choices: [refuse, report]
        default: refuse
      exempt:
        description:
          - Paths below the prefix, or patterns, that may name the builder, the prefix too. They are packed as they are.
        type: list
        elements: str
        default: []
requirements:
  - conda-pack >= 0.9.2, not for O(archive)
  - zstandard >= 0.23, without which a bundle of O(archive) has gzip
  - Python >= 3.10
notes:
  - The role C(airgap.conda.env_build) builds and packs in one step.
seealso:
  - module: airgap.conda.env
    description: Makes the environment that is packed.
  - module: airgap.conda.env_deploy
    description: Makes the bundle live on hosts.
"""

EXAMPLES = r"""
- name: Build an environment
  airgap.conda.env:
    spec: environment.yml
  register: built

- name: Pack it into a bundle below dist
  airgap.conda.bundle:
    prefix: "{{ built.prefix }}"
    name: "{{ built.name }}"
    platform: "{{ built.platform }}"
    spec: environment.yml
  register: packed

- name: Say what has to cross the gap
  ansible.builtin.debug:
    msg: "{{ packed.bundle }}, {{ packed.packages | length }} packages"

- name: Pack an environment that conda made
  airgap.conda.bundle:
    prefix: ~/miniforge3/envs/science
    name: science
    dist: bundles

- name: Make a bundle of what somebody packed with conda-pack
  airgap.conda.bundle:
    archive: science.tar.gz
    name: science
    dist: bundles

- name: Pack nothing that asks for more than attribution
  airgap.conda.bundle:
    prefix: "{{ built.prefix }}"
    name: "{{ built.name }}"
    licenses:
      allow: [MIT, BSD-*, Apache-2.0, PSF-2.0, Python-2.0, Zlib, GPL-3.0-only WITH GCC-exception-3.1]
      exempt: [readline]

- name: Pack what was compiled here and notes where, and hear which files do
  airgap.conda.bundle:
    prefix: ~/miniforge3/envs/compiled
    name: compiled
    leaks:
      policy: report
      exempt: ["lib/python3*/site-packages/ours/*.so"]
"""

RETURN = r"""
bundle:
  description:
    - Directory of the bundle, named by its content id. Its neighbour without the content id is a link to the newest.
    - Empty in check mode when its content is not known yet.
  returned: success
  type: str
  sample: /home/me/dist/my_env-linux-64-0123456789ab
content_id:
  description:
    - Identity of what the bundle deploys, the sha256 of its canonical file list.
    - Empty in check mode, unless that very environment was packed before.
  returned: success
  type: str
  sample: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
size:
  description: Bytes of the archive.
  returned: when the bundle is there
  type: int
  sample: 45112233
packages:
  description: The packages in the bundle.
  returned: when the bundle is there
  type: list
  elements: dict
  contains:
    name:
      description: Name of the package.
      type: str
      sample: pandas
    version:
      description: Its version.
      type: str
      sample: 1.5.3
    build:
      description: Its build; empty for pip's.
      type: str
      sample: py311h2872171_1
    channel:
      description: Where it comes from, without credentials; empty for pip's.
      type: str
      sample: conda-forge
    manager:
      description: V(conda) or V(pip).
      type: str
      sample: conda
    licence:
      description: What it says its licence is.
      type: str
      sample: BSD-3-Clause
report:
  description: The report of the packages' licences, a text in RV(bundle).
  returned: when the bundle is there
  type: str
  sample: /home/me/dist/my_env-linux-64-0123456789ab/licenses.txt
leaks:
  description: What is packed though it names the builder, with O(leaks.policy=report).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Path below the prefix.
      type: str
      sample: share/ours/built-by.txt
    names:
      description: What it names.
      type: str
      sample: the home directory
    text:
      description: The text that was found.
      type: str
      sample: /home/me
actions:
  description: What was done, or in check mode would be, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["pack /home/me/dist/my_env-linux-64-0123456789ab"]
"""

import functools
import os
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.airgap.conda.plugins.module_utils._builder.bundles import (
    Bundled,
    Policy,
    Target,
    make_bundle,
    plan_bundle,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import (
    POLICIES,
    REFUSE,
    parse_leak_rules,
    told,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.licenses import REPORT_NAME, parse_rules


def require_libraries(module: AnsibleModule) -> None:
    """Fail unless what packs environments is there."""
    for library in ("conda_pack", "zstandard"):
        try:
            __import__(library)
        except ImportError:
            missing = missing_required_lib(library.replace("_", "-"))
            module.fail_json(msg=missing, exception=traceback.format_exc())


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Return what packing gave, or would give."""
    bundled = pack(module)
    if bundled.leaks:
        module.warn(told(bundled.leaks))
    for warning in bundled.warnings:
        module.warn(warning)
    return result(bundled)


def pack(module: AnsibleModule) -> Bundled:
    """Pack, or in check mode say what packing would give."""
    source = module.params["archive"] or module.params["prefix"]
    target = Target(source, *(module.params[name] for name in ("name", "platform", "dist")))
    policy = Policy(parse_rules(module.params["licenses"]), parse_leak_rules(module.params["leaks"]))
    with Progress(module.params["progress_file"]) as progress:
        if module.check_mode:
            return plan_bundle(target, progress, policy)
        return make_bundle(target, module.params["spec_sha256"], progress, policy)


def result(bundled: Bundled) -> dict[str, t.Any]:
    """Return what the user gets to know."""
    facts: dict[str, t.Any] = {"changed": bundled.changed, "bundle": bundled.directory, "content_id": "", "actions": []}
    facts["leaks"] = [{"path": path, "names": what, "text": text} for path, (what, text, _breaks) in bundled.leaks]
    if bundled.changed:
        facts["actions"] = [f"pack {bundled.directory or 'the environment once it is made'}"]
    if bundled.manifest:
        facts["content_id"] = bundled.manifest.content_id
        facts["size"] = bundled.manifest.encodings[0].piece.size
        facts["report"] = os.path.join(bundled.directory, REPORT_NAME)
        facts["packages"] = [package.to_json() for package in bundled.manifest.packages]
    return facts


def main() -> None:
    strings = {"type": "list", "elements": "str", "default": []}
    licenses = {"allow": strings, "deny": strings, "allow_unknown": {"type": "bool"}, "exempt": strings}
    leaks = {"policy": {"type": "str", "choices": list(POLICIES), "default": REFUSE}, "exempt": strings}
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path"},
            "archive": {"type": "path"},
            "name": {"type": "str", "required": True},
            "platform": {"type": "str", "default": "linux-64"},
            "dist": {"type": "path", "default": "dist"},
            "spec": {"type": "path"},
            "spec_sha256": {"type": "str", "default": ""},
            "licenses": {"type": "dict", "options": licenses},
            "leaks": {"type": "dict", "options": leaks},
            "progress_file": {"type": "path"},
        },
        mutually_exclusive=[("prefix", "archive")],
        required_one_of=[("prefix", "archive")],
        supports_check_mode=True,
    )
    if module.params["prefix"]:
        require_libraries(module)
    answer(
        module,
        functools.partial(run, module),
        "{where}: {reason}; nothing half-made is left, run again",
        module.params["dist"],
    )


if __name__ == "__main__":
    main()
