#!/usr/bin/python
# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: env_drift_report
short_description: Bring the drift of all hosts together, and write reports
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - Tells, the worst host first, what M(airgap.conda.env_drift_info) found on all hosts of the play, and writes it for
    programs (C(drift.json)), for CI (C(drift.xml), in JUnit's form) and for people (C(drift.html), one page that needs
    no network).
  - Runs on the controller. Use it once for all hosts, with C(run_once).
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
attributes:
  check_mode:
    details:
      - Reports are output; they are written in check mode too, and are no change.
  platform:
    platforms: posix
options:
  variable:
    description:
      - Variable in which each host has the result of M(airgap.conda.env_drift_info). A host without it was not looked
        at.
    type: str
    required: true
  mode:
    description:
      - How deep hosts were looked at, for the reports to say.
    type: str
    choices: [quick, full]
    default: quick
  report_dir:
    description:
      - Directory on the controller, made if it is not there. A relative path means the directory in which Ansible was
        started. Without it nothing is written.
    type: path
seealso:
  - module: airgap.conda.env_drift_info
    description: Finds what is told here.
  - module: airgap.conda.env_drift_verdict
    description: Lets drift fail a play.
"""

EXAMPLES = r"""
- name: Look
  airgap.conda.env_drift_info:
    environments:
      - name: my_env
  register: found

- name: Tell
  airgap.conda.env_drift_report:
    variable: found
    report_dir: reports
  run_once: true
"""

RETURN = r"""
status:
  description:
    - V(clean), V(drift), or V(unchecked) where no drift was found but not all hosts could be looked at.
  returned: success
  type: str
hosts_by_status:
  description: How many hosts are of each status.
  returned: success
  type: dict
  contains:
    clean:
      description: As they should be.
      type: int
    drift:
      description: With drift.
      type: int
    unchecked:
      description: Without drift that is known, but not looked at as a whole.
      type: int
reports:
  description: Paths of what was written; empty without O(report_dir).
  returned: success
  type: dict
  contains:
    json:
      description: For programs. What it holds is what M(airgap.conda.env_drift_info) returns, by host.
      type: str
    xml:
      description: For CI.
      type: str
    html:
      description: For people.
      type: str
"""
