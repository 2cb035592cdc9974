# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError


class Ended(Exception):
    """Stands for the end of a module's process."""


class Module:
    """What C(AnsibleModule) does at its end, which is to print and leave."""

    def __init__(self) -> None:
        self.said: dict[str, t.Any] = {}

    def exit_json(self, **result: t.Any) -> None:
        self.said = result
        raise Ended

    def fail_json(self, msg: str) -> None:
        self.said = {"failed": True, "msg": msg}
        raise Ended


def said(work: t.Callable[[], dict[str, t.Any]]) -> dict[str, t.Any]:
    module = Module()
    with pytest.raises(Ended):
        answer(t.cast(t.Any, module), work, "{where}: {reason}; run again", "this host")
    return module.said


def test_what_was_done_is_returned() -> None:
    assert said(lambda: {"changed": True}) == {"changed": True}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BundleError("the bundle {is} damaged"), "the bundle {is} damaged"),
        (OSError(28, "No space left on device", "/opt/{a}"), "/opt/{a}: No space left on device; run again"),
        (OSError(28, "No space left on device"), "this host: No space left on device; run again"),
        (TimeoutError("timed out"), "this host: timed out; run again"),
    ],
)
def test_what_was_raised_is_a_failure_in_words(error: Exception, told: str) -> None:
    def work() -> dict[str, t.Any]:
        raise error

    assert said(work) == {"failed": True, "msg": told}


def test_a_defect_is_told_as_one() -> None:
    with pytest.raises(ZeroDivisionError):
        answer(t.cast(t.Any, Module()), lambda: {"changed": 1 // 0}, "{where}: {reason}", "this host")
