# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import (
    DEPLOY,
    FOUND,
    ROLLBACK,
    Switch,
    parse_switches,
    render_switches,
    replaced,
    settled,
)

AT = "2026-11-25T10:00:00Z"


def record(*steps: str) -> list[Switch]:
    """Make a record of steps such as C(deploy 2-b)."""
    switches: t.List[Switch] = []
    for step in steps:
        how, generation = step.split()
        before = switches[-1].generation if switches else ""
        switches.append(Switch(generation, before, how, AT, "ada@controller"))
    return switches


def test_what_is_written_is_read() -> None:
    switches = record("deploy 1-a", "rollback 2-b")
    assert parse_switches(b"".join(render_switches(switches))) == switches


@pytest.mark.parametrize("line", [b"{", b"[]", b"null", b'{"generation": "1-a"}', b'{"generation": 1}'])
def test_a_damaged_line_is_left_out(line: bytes) -> None:
    switches = record("deploy 1-a", "deploy 2-b")
    first, second = render_switches(switches)
    assert parse_switches(first + line + b"\n" + second) == switches


REPLACED: t.Dict[t.Tuple[str, ...], t.Optional[str]] = {
    (): "",
    ("deploy 1-a",): "",
    ("deploy 1-a", "deploy 2-b"): "1-a",
    # Taken back: doing it again does nothing.
    ("deploy 1-a", "deploy 2-b", "rollback 1-a"): None,
    ("deploy 1-a", "deploy 2-b", "deploy 3-c", "rollback 1-a"): None,
    # Forward again, and back once more.
    ("deploy 1-a", "deploy 2-b", "rollback 1-a", "rollback 2-b"): "1-a",
    # What was taken back is not gone back to.
    ("deploy 1-a", "deploy 2-b", "rollback 1-a", "deploy 3-c"): "1-a",
    # The same content anew is no rollout.
    ("deploy 1-a", "deploy 2-b", "deploy 3-b"): "1-a",
    ("deploy 1-a", "deploy 2-b", "rollback 1-a", "deploy 3-a"): None,
    # Going back to a damaged one made it anew.
    ("deploy 1-a", "deploy 2-b", "rollback 3-a"): None,
    # The earlier content rolled out is a rollout like any.
    ("deploy 1-a", "deploy 2-b", "deploy 3-a"): "2-b",
    # Interrupted: a content that is new was rolled out, one that was live before was gone back to.
    ("deploy 1-a", "found 2-b"): "1-a",
    ("deploy 1-a", "deploy 2-b", "found 1-a"): None,
    ("found 2-b",): "",
}


@pytest.mark.parametrize(("steps", "expected"), REPLACED.items())
def test_the_generation_that_the_last_rollout_replaced(steps: t.Tuple[str, ...], expected: t.Optional[str]) -> None:
    assert replaced(record(*steps)) == expected


def test_a_switch_that_was_not_recorded_is_added() -> None:
    switches = record("deploy 1-a")
    assert settled(switches, "1-a", AT) == switches
    assert settled(switches, "", AT) == switches
    assert settled(switches, "2-b", AT) == [*switches, Switch("2-b", "1-a", FOUND, AT, "")]
    assert settled([], "2-b", AT) == [Switch("2-b", "", FOUND, AT, "")]
    assert (DEPLOY, ROLLBACK) == ("deploy", "rollback")
