#!/usr/bin/python

# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: env_deploy
short_description: Make bundles live on hosts that have no network
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Brings conda environments to hosts, unpacks them with the final prefix in every file, registers them with conda and
    shells, and checks that they work.
  - The path of an environment never changes. A new generation is staged beside it and becomes live in one step; when
    its health check fails, the old one is live again.
  - Runs one module execution per host when there is nothing to do, for all its environments; an environment whose
    files were damaged is put right.
  - Hosts need Python 3.8 or newer with its standard library, and nothing else.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
  - airgap.conda._options.parts
attributes:
  check_mode:
    details:
      - The same plan is made and returned, and everything that keeps a host from taking a bundle is told.
      - Of a bundle only the manifest is read; with O(environments[].register.commands) the file list, too.
  diff_mode:
    support: full
    details:
      - The diff is of package lists; where no package changes, it is what would be done, in sentences.
options:
  environments:
    description:
      - The environments of this host.
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
          - Directory of a bundle on the controller, or a dictionary from platform (such as V(linux-64)) to directory.
          - Instead of a directory, an archive that was packed by hand with conda-pack (C(.tar.zst), C(.tar.gz),
            C(.tar.bz2), C(.tar.xz), C(.tar) or C(.zip)). A bundle is derived from it once and kept in O(cache), in
            check mode too; defects of the archive are told or refused. Its name is that of the file.
          - A relative path means the directory in which Ansible was started.
          - Required with O(environments[].state=present).
        type: raw
      state:
        description:
          - Whether the environment is live at its prefix. V(absent) removes only what this module deployed.
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
          - User who owns the files. Defaults to the owner they have, at first the user who deploys.
        type: str
      group:
        description:
          - Group of the files. Defaults to the owner's.
        type: str
      verify:
        description:
          - How deep a live environment is looked at. V(quick) reads only files whose stat changed, V(full) reads all,
            V(receipt) trusts the record.
        type: str
        choices: [receipt, quick, full]
        default: quick
      bytecode:
        description:
          - Compile Python bytecode while staging, so that no start of a user without write permission pays for it.
        type: bool
        default: true
      keep:
        description:
          - How many generations are kept, the live one included. Older ones are removed after the health check of a new
            one went well, those last that were live last. Files that did not change are stored once.
          - One that failed its health check is kept like the others until the next one that does not.
        type: int
        default: 2
      collect_used:
        description:
          - Remove older generations from which processes run as well. Else they stay until a run finds them unused.
        type: bool
        default: false
      share:
        description:
          - How a new generation gets the files that did not change. V(auto) shares their blocks where the file system
            can (reflinks), else their inodes (hard links), else copies them. V(hardlink) never tries the first, V(copy)
            neither.
          - Who writes to a file in place writes to all its hard links. So files that people edit are copied in any
            case, and what is not as it was deployed is never taken.
        type: str
        choices: [auto, hardlink, copy]
        default: auto
      on_unexpected:
        description:
          - What becomes of files below the prefix that no bundle brought, when the environment has to be replaced or
            removed. With V(fail) that is refused, naming who brought them; with V(keep) they are moved aside to
            C(<envs_dir>/.airgap/<name>/quarantine). Bytecode and empty directories do not count.
          - With V(clear) they are moved aside as well, and are a reason by themselves to make the environment anew; so
            is bytecode, unless it is a cache of an unchanged source.
          - V(remove) is V(clear) without keeping them.
        type: str
        choices: [fail, keep, clear, remove]
        default: fail
      adopt:
        description:
          - Keep an environment that this module did not deploy as generation zero, to which there is a way back. Else
            it is left as it is, and the deployment refused.
          - Generation zero is neither counted nor removed.
        type: bool
        default: false
      health:
        description:
          - What must work in a new generation. Without it, the environment's Python must start.
          - Where root may mount, it is checked before the switch, in a view of the file system in which the new
            generation is at the prefix already; elsewhere, and in a first deployment, right after the switch.
        type: dict
        suboptions:
          imports:
            description: Python modules to import.
            type: list
            elements: str
            default: []
          commands:
            description: Shell commands, with the environment's programs first on the PATH.
            type: list
            elements: str
            default: []
          timeout:
            description: Seconds for each.
            type: float
            default: 60
      register:
        description:
          - Who shall know the environment.
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
            description: Activate the environment in login shells, by a file in C(/etc/profile.d).
            type: bool
            default: false
          commands:
            description: Programs of the environment linked in C(/usr/local/bin), or a plain user's C(~/.local/bin).
            type: list
            elements: str
            default: []
          kernel:
            description:
              - Offer it to Jupyter, by a kernel in C(/usr/local/share/jupyter), or a plain user's
                C(~/.local/share/jupyter).
              - The bundle has to hold C(ipykernel).
            type: bool
            default: false
          frozen:
            description: Mark the environment as not to be changed by conda and pip.
            type: bool
            default: false
      source:
        description:
          - Whence the host takes the bundle. What it must be, file by file, the controller says; so a source needs no
            trust, and what is not just that is refused.
          - Where the host cannot decode the bundle's encoding, the controller sends another one, whatever the source.
        type: dict
        suboptions:
          type:
            description:
              - V(controller) pushes over the connection of the task. V(path) is a directory of the host, such as a
                mounted stick or share, read where it is. V(url) is a web server of the site.
            type: str
            choices: [controller, path, url]
            default: controller
          path:
            description:
              - Directory of the host with bundles, each in the directory of its own name, or the bundle itself; or a
                medium that M(airgap.conda.bundle_export) wrote, with archives in parts or not.
            type: path
          url:
            description: Below it are bundles, each in the directory of its own name. Only C(http) and C(https).
            type: str
          username:
            description: For basic authentication.
            type: str
          password:
            description: For basic authentication. Not sent along where the server redirects to another address.
            type: str
          ca_path:
            description: File of the host with the certificates to trust, in the place of those of its system.
            type: path
          proxy:
            description: URL of a proxy, with a login if it wants one. None is used unless it is named here.
            type: str
      offers:
        description: What the bundles are. Set by the action plugin.
        type: dict
      by:
        description: Who runs Ansible, and where, for the record. Set by the action plugin.
        type: str
  cache:
    description:
      - Directory of the controller in which derived encodings and notes of verified bundles are kept, as media may be
        read-only. Defaults to C(${XDG_CACHE_HOME:-~/.cache}/airgap-conda).
      - What was not used for half a year is removed from it, and nothing that this collection did not put there.
    type: path
  part_size:
    description:
      - MiB that are sent at a time. After a cut, only the part it happened in is sent again; a temporary directory of
        the host must hold one.
      - Each part costs a module execution, so make it smaller only on links that are cut often.
    type: int
    default: 64
notes:
  - O(parts), O(progress_file), O(environments[].offers) and O(environments[].by) belong to the action plugin; what a
    playbook gives there is not used.
  - The role C(airgap.conda.env_deploy) does the same with variables that an inventory can set.
seealso:
  - module: airgap.conda.bundle
    description: Packs what is deployed.
"""

EXAMPLES = r"""
- name: Make an environment live at /opt/conda/envs/my_env
  airgap.conda.env_deploy:
    environments:
      - bundle: dist/my_env-linux-64

- name: Two environments, one for two platforms
  airgap.conda.env_deploy:
    environments:
      - bundle:
          linux-64: dist/my_env-linux-64
          linux-aarch64: dist/my_env-linux-aarch64
        health:
          imports: [pandas]
      - bundle: dist/tools-linux-64
        envs_dir: /srv/envs
        register:
          commands: [python3.11]

- name: Remove it
  airgap.conda.env_deploy:
    environments:
      - name: my_env
        state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["replace 0123456789ab by ba9876543210 at /opt/conda/envs/my_env"]
environments:
  description: Each environment as it is now.
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
      description: Name of the live generation.
      type: str
    changed:
      description: Whether it was changed.
      type: bool
    actions:
      description: What was done with it.
      type: list
      elements: str
    recovered:
      description: What an earlier, interrupted run had left.
      type: list
      elements: str
    unexpected:
      description: Files below the prefix that no bundle brought.
      type: list
      elements: str
"""

import contextlib
import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.host import reconcile
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    DEPTHS,
    PART_OPTIONS,
    REGISTER_OPTIONS,
    SHARE_AUTO,
    SHARES,
    SOURCE_CONTROLLER,
    SOURCES,
    UNEXPECTED,
    UNEXPECTED_FAIL,
    VERIFY_QUICK,
)


def argument_spec() -> dict[str, t.Any]:
    """Return the parameters, as documented above."""
    strings = {"type": "list", "elements": "str", "default": []}
    health = {"imports": strings, "commands": strings, "timeout": {"type": "float", "default": 60}}
    source = {
        "type": {"type": "str", "choices": list(SOURCES), "default": SOURCE_CONTROLLER},
        "path": {"type": "path"},
        "url": {"type": "str"},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "ca_path": {"type": "path"},
        # It may hold a login.
        "proxy": {"type": "str", "no_log": True},
    }
    environment = {
        "name": {"type": "str"},
        "bundle": {"type": "raw"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "envs_dir": {"type": "path", "default": "/opt/conda/envs"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "verify": {"type": "str", "choices": list(DEPTHS), "default": VERIFY_QUICK},
        "bytecode": {"type": "bool", "default": True},
        "keep": {"type": "int", "default": 2},
        "collect_used": {"type": "bool", "default": False},
        "share": {"type": "str", "choices": list(SHARES), "default": SHARE_AUTO},
        "on_unexpected": {"type": "str", "choices": list(UNEXPECTED), "default": UNEXPECTED_FAIL},
        "adopt": {"type": "bool", "default": False},
        "health": {"type": "dict", "options": health},
        "register": {"type": "dict", "options": REGISTER_OPTIONS},
        "source": {"type": "dict", "options": source},
        "offers": {"type": "dict"},
        "by": {"type": "str"},
    }
    return {
        "environments": {"type": "list", "elements": "dict", "required": True, "options": environment},
        "parts": {"type": "list", "elements": "dict", "default": [], "options": PART_OPTIONS},
        "cache": {"type": "path"},
        "part_size": {"type": "int", "default": 64},
        "progress_file": {"type": "path"},
    }


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring all environments to their orders."""
    with Progress(module.params["progress_file"]) as progress, contextlib.ExitStack() as locks:
        return reconcile(module.params["environments"], module.params["parts"], module.check_mode, progress, locks)


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
