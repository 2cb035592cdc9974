# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the packages come from: conda-forge if it answers, else the small channel of the tests."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import urllib.request

from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import PUBLIC

from .screen import DemoError

#: Seconds in which conda-forge must answer.
PATIENCE = 5.0


def trouble_with(channel: str) -> str:
    """Why the channel cannot be used now; empty if it can."""
    found = [f"no answer within {PATIENCE:.0f} s"]

    def ask() -> None:
        request = urllib.request.Request(f"{PUBLIC.url(channel, '')}/noarch/repodata.json.zst", method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE):
                found[0] = ""
        except (OSError, http.client.HTTPException) as error:
            found[0] = str(getattr(error, "reason", error)) or type(error).__name__

    # A name server that is silent heeds no timeout.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return found[0]


def local_channel() -> str:
    """The address of the small channel, made first if needed."""
    with subprocess.Popen([sys.executable, "-m", "world.channel"], stdout=subprocess.PIPE, text=True) as making:
        address = making.communicate()[0].strip()
    if making.returncode:
        raise DemoError("there is no channel to build from; give this machine conda-forge, or see above")
    return address
