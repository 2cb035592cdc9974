#!/usr/bin/python

# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: env
short_description: Environment from an environment.yml, in a private build prefix
description:
  - Solves an C(environment.yml) and installs it on the builder, with conda packages by an embedded solver and
    the C(pip) section by the environment's own pip. No conda is needed; one that is there can be used.
  - The environment lives at a prefix of its own under O(workdir), for M(airgap.conda.bundle) to pack.
    It is made again in a new prefix when an input changes, so nothing of the old one stays.
  - An unchanged input means an unchanged environment, without another solve. Newer packages in a channel are no input;
    the content of files that the spec includes or names by path is one.
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
attributes:
  check_mode:
    details:
      - The solve is made and its packages are returned; nothing is written.
      - Versions that only pip could tell are not told.
  diff_mode:
    support: full
    details:
      - The diff is of package lists.
requirements:
  - py-rattler >= 0.28.0, for O(backend=rattler)
  - PyYAML >= 6.0
  - Python >= 3.10
options:
  spec:
    description:
      - Path of the C(environment.yml), or of an explicit list (C(@EXPLICIT)), on the controller.
        A relative path starts at the directory in which Ansible was started.
      - The keys C(name), C(channels), C(dependencies) and C(variables) are used, C(prefix) is ignored.
        What may be in it is described in R(a guide, ansible_collections.airgap.conda.docsite.specs).
      - Files that its C(pip) section includes with C(-r) and C(-c) are on the controller too.
        Channels, packages, wheels and source trees that it names by path are on the builder; relative paths start at
        the directory of O(spec), when that is on the builder, else at the home directory.
      - Required with O(state=present).
    type: str
  content:
    description:
      - The text of O(spec). Set by the action plugin.
    type: str
  files:
    description:
      - The texts of the files that the C(pip) section of O(spec) includes, by path. Set by the action plugin.
    type: dict
  state:
    description:
      - V(present) makes the environment what O(spec) says.
      - V(absent) removes the build environment of this name and platform; the package cache stays.
    type: str
    choices: [present, absent]
    default: present
  name:
    description:
      - Name of the environment, a directory name. The default is the C(name) of O(spec).
    type: str
  channels:
    description:
      - Channels used instead of those of O(spec), by strict priority.
        Names, addresses, C(file://) addresses and paths of directories on the builder.
      - C(channel::name) in O(spec) means the channel here that goes by that name, if there is one.
    type: list
    elements: str
  platform:
    description:
      - Platform of the hosts, as conda calls it. The default is the builder's.
      - For another platform than the builder's a C(pip) section is refused and link scripts do not run.
    type: str
  backend:
    description:
      - What solves and installs. V(rattler) is embedded; V(conda), V(mamba) and V(micromamba) are programs on the
        builder, of the user's own installation. The same packages make the same environment, whichever installed them.
      - V(auto) is the program that O(conda_exe) names. Without that it is V(rattler), or, where the library
        py-rattler is not installed, the first of V(conda), V(mamba) and V(micromamba) that is there.
      - The user's configuration of conda is read for all of them.
    type: str
    choices: [auto, rattler, conda, mamba, micromamba]
    default: auto
  conda_exe:
    description:
      - The executable on the builder of V(conda), V(mamba) or V(micromamba). With O(backend=auto) its name tells which
        of them it is.
      - The default is C(CONDA_EXE) or C(MAMBA_EXE) of the builder's environment, else the one in C(PATH).
    type: path
  workdir:
    description:
      - Directory on the builder of build environments and of the package cache, on one file system.
      - The default is C(${XDG_CACHE_HOME:-~/.cache}/airgap-conda/build) of the builder's user.
    type: path
  virtual_packages:
    description:
      - What the solver may assume of the hosts, such as C(glibc) and C(cuda), instead of what it detects on the
        builder.
      - Names with or without leading underscores; versions are quoted; an empty version means that hosts have none.
    type: dict
    default: {}
  pip_args:
    description:
      - Further arguments of C(pip install), such as C(--only-binary=:all:).
    type: list
    elements: str
    default: []
notes:
  - The role C(airgap.conda.env_build) builds and packs in one step.
seealso:
  - module: airgap.conda.bundle
    description: Packs the environment.
"""

EXAMPLES = r"""
- name: Build the environment on this machine
  airgap.conda.env:
    spec: environment.yml
  register: built

- name: Build for hosts that are older than the builder, from a mirror
  airgap.conda.env:
    spec: environment.yml
    channels:
      - https://mirror.example.com/conda-forge
    virtual_packages:
      glibc: "2.31"
      cuda: "12.2"

- name: Show what a changed file would change
  airgap.conda.env:
    spec: environment.yml
  check_mode: true
  diff: true

- name: Remove the build environment
  airgap.conda.env:
    name: my_env
    state: absent
"""

RETURN = r"""
prefix:
  description:
    - Where the environment is on the builder. Null with O(state=absent), and in check mode when there is none yet.
  returned: success
  type: str
  sample: /home/builder/.cache/airgap-conda/build/my_env-linux-64/0f3a9c1b2d4e
name:
  description: Name of the environment.
  returned: success
  type: str
  sample: my_env
platform:
  description: Platform of the hosts.
  returned: success
  type: str
  sample: linux-64
backend:
  description: What solves and installs, or would.
  returned: with O(state=present)
  type: str
  sample: rattler
packages:
  description: What is in the environment, or would be in check mode.
  returned: success
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
actions:
  description: What was done, or would be in check mode, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["make the build environment: its inputs changed", "pandas 1.5.2 → 1.5.3"]
"""

import functools
import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airgap.conda.plugins.module_utils._builder import backends, build, condarc, libraries
from ansible_collections.airgap.conda.plugins.module_utils._builder.environments import BuildEnvironment
from ansible_collections.airgap.conda.plugins.module_utils._builder.request import (
    default_workdir,
    name_and_platform,
    request,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError, BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import credentials, mask


def argument_spec() -> dict[str, t.Any]:
    return {
        "spec": {"type": "str"},
        "content": {"type": "str", "no_log": True},
        "files": {"type": "dict", "no_log": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "name": {"type": "str"},
        "channels": {"type": "list", "elements": "str"},
        "platform": {"type": "str"},
        "backend": {"type": "str", "choices": list(backends.CHOICES), "default": "auto"},
        "conda_exe": {"type": "path"},
        "workdir": {"type": "path"},
        "virtual_packages": {"type": "dict", "default": {}},
        "pip_args": {"type": "list", "elements": "str", "default": []},
        "progress_file": {"type": "path"},
    }


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the build environment to its state; what is raised tells no credentials."""
    try:
        with Progress(module.params["progress_file"]) as progress:
            return present(module, progress) if module.params["state"] == "present" else absent(module)
    except AirgapError as error:
        raise BuildError(mask(str(error))) from None


def present(module: AnsibleModule, progress: Progress) -> dict[str, t.Any]:
    settings = condarc.read(os.environ)
    hide_credentials(module, json.dumps(settings, default=str))
    backend = backends.chosen(module.params["backend"], module.params["conda_exe"], os.environ, settings)
    if backend.kind == backends.RATTLER:
        need(module, libraries.EMBEDDED)
    wanted, warnings = request(module.params, backend.kind, settings)
    for warning in warnings:
        module.warn(mask(warning))
    environment = BuildEnvironment(workdir(module), wanted.name, wanted.platform)
    act = build.predict if module.check_mode else build.build
    outcome = act(wanted, environment, backend, progress)
    return {"name": wanted.name, "platform": wanted.platform, "backend": backend.kind, **outcome.to_json()}


def absent(module: AnsibleModule) -> dict[str, t.Any]:
    name, platform = name_and_platform(module.params)
    environment = BuildEnvironment(workdir(module), name, platform)
    act = build.predict_removal if module.check_mode else build.remove
    return {"name": name, "platform": platform, **act(environment).to_json()}


def workdir(module: AnsibleModule) -> str:
    return os.path.abspath(module.params["workdir"] or default_workdir(os.environ))


def need(module: AnsibleModule, library: tuple[str, str]) -> None:
    complaint = libraries.complaint([library])
    if complaint:
        module.fail_json(msg=complaint)


def hide_credentials(module: AnsibleModule, *texts: str) -> None:
    """Keep what addresses in *texts* hold out of everything that Ansible prints or registers."""
    module.no_log_values.update(*map(credentials, texts))


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[("state", "present", ("spec", "content"))],
        supports_check_mode=True,
        # It would log the arguments before their credentials are known.
        no_log=True,
    )
    files = (module.params["files"] or {}).values()
    texts = (module.params["content"] or "", *files, *(module.params["channels"] or ()), *module.params["pip_args"])
    hide_credentials(module, *texts)
    need(module, libraries.ALWAYS)
    # What is installed is for everybody to read, whoever builds.
    os.umask(0o022)
    answer(
        module,
        functools.partial(run, module),
        "{where}: {reason}; nothing half-made is left, run again",
        "the builder",
    )


if __name__ == "__main__":
    main()
