# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Who runs Ansible, as hosts record it."""

from __future__ import annotations

import os
import platform
import pwd


def caller() -> str:
    """Return C(user@controller), by the user's account and not by what the environment says."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{platform.node()}"
