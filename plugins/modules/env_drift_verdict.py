#!/usr/bin/python
# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: env_drift_verdict
short_description: Let drift fail a play, and tell it from what could not be looked at
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Fails a host with drift, and counts a host that could not be looked at as unreachable, so that the exit code of
    C(ansible-playbook) tells the two apart. It is 2 for the one and 4 for the other, which outranks it.
  - Runs on the controller and connects to no host.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
attributes:
  platform:
    platforms: posix
options:
  result:
    description:
      - What M(airgap.conda.env_drift_info) returned for this host.
    type: dict
    required: true
  fail:
    description:
      - Whether drift fails the host.
    type: bool
    default: true
seealso:
  - module: airgap.conda.env_drift_info
    description: Finds what is judged here.
"""

EXAMPLES = r"""
- name: Look
  airgap.conda.env_drift_info:
    environments:
      - name: my_env
  register: found
  ignore_errors: true
  ignore_unreachable: true

- name: Judge
  airgap.conda.env_drift_verdict:
    result: "{{ found }}"
"""

RETURN = r"""
status:
  description:
    - V(clean), V(drift), or V(unchecked).
  returned: always
  type: str
"""
