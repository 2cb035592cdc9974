# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What arrives at hosts, as their interfaces count it."""

from __future__ import annotations

from world.fleet import Host


class Meter:
    """What hosts receive in a block."""

    def __init__(self, *hosts: Host) -> None:
        self._hosts = hosts
        self.received: list[int] = []

    def __enter__(self) -> Meter:
        self._before = [host.interface_bytes()[0] for host in self._hosts]
        return self

    def __exit__(self, *unused: object) -> None:
        self.received = [
            host.interface_bytes()[0] - before for host, before in zip(self._hosts, self._before, strict=True)
        ]
