# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this document fragment is PRIVATE to the collection and should only be used by the collection itself.

"""Options that several modules have. Ansible merges those of the topmost level only, and no results."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment for each option, or group of them."""

    # What each module adds that is followed while it works.
    PROGRESS = r"""
options:
  progress_file:
    description:
      - File to which progress is appended. Set by the action plugin.
    type: path
"""

    # What each module adds to which bundles are sent.
    PARTS = r"""
options:
  parts:
    description:
      - Parts of bundles that were sent to the host. Set by the action plugin.
    type: list
    elements: dict
    default: []
    suboptions:
      stream:
        description: Of which bundle.
        type: str
        required: true
      path:
        description: Where on the host.
        type: path
        required: true
      offset:
        description: Of its first byte in the bundle's stream.
        type: int
        required: true
      sha256:
        description: Its digest.
        type: str
        required: true
"""

    # What each module adds whose paths are the caller's.
    PATHS = r"""
options: {}
notes:
  - Relative paths mean the directory in which Ansible was started.
"""
