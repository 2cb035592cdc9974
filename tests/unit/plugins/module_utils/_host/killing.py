# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed before any of their effects."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host import switching
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import end_of

#: What puts names on disk or takes them off; a run may be killed before each of them.
EFFECTS = ("mkdir", "rename", "replace", "unlink", "rmdir", "symlink")

#: How a killed child ends.
KILLED = 99


def killed(work: t.Callable[[], object], effects: int) -> bool:
    """Do *work* in a child that dies before its effect of that number; return whether it came that far."""

    def counted() -> None:
        _count_effects(effects)
        work()

    code = end_of(counted)
    assert code in (0, KILLED)
    return code == KILLED


def _count_effects(left: int) -> None:
    def counted(effect: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*arguments: t.Any, **options: t.Any) -> t.Any:
            nonlocal left
            if not left:
                os._exit(KILLED)
            left -= 1
            return effect(*arguments, **options)

        return call

    for name in EFFECTS:
        setattr(os, name, counted(getattr(os, name)))
    switching.exchange = counted(switching.exchange)
