# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this document fragment is PRIVATE to the collection and should only be used by the collection itself.

"""The attributes every module of the collection states."""

from __future__ import annotations


class ModuleDocFragment:
    """What most modules support; one that differs says so itself, in what it states over these."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)) in diff mode.
    support: none
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that the system controlled or queried by the module has not changed in a relevant way.
    support: full
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: linux
"""

    # What every module adds: all are in one group.
    ACTIONGROUP_CONDA = r"""
options: {}
attributes:
  action_group:
    description: Takes the defaults that a play gives with C(group/airgap.conda.conda) in C(module_defaults).
    support: full
    membership:
      - airgap.conda.conda
"""

    # What a module with a controller half adds.
    ACTION = r"""
options: {}
attributes:
  action:
    description:
      - Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: none
"""
