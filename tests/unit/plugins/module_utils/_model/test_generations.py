# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.generations import Kept, choose
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import Switch
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._model.test_switches import record

A, B, C = "0a" * 6, "1234" * 3, "12ff" * 3


def kept(*names: str, live: str, failed: t.Container[str] = ()) -> t.List[Kept]:
    return [Kept(name, name.partition("-")[2] + "0" * 52, name == live, name in failed) for name in names]


def chosen(to: str, generations: t.Sequence[Kept], switches: t.Sequence[Switch] = (), force: bool = False) -> str:
    return choose("/envs/ml", to, generations, switches, force).generation


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("1", f"0001-{A}"),
        ("0001", f"0001-{A}"),
        (f"0002-{B}", f"0002-{B}"),
        ("0a0a", f"0001-{A}"),
        ("0A0A0", f"0001-{A}"),
        ("12ff", f"0003-{C}"),
        # As a number there is none such.
        ("1234", f"0002-{B}"),
        (B + "0" * 52, f"0002-{B}"),
    ],
)
def test_a_generation_is_named_by_number_name_or_content(to: str, expected: str) -> None:
    assert chosen(to, kept(f"0001-{A}", f"0002-{B}", f"0003-{C}", live=f"0003-{C}")) == expected


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        ("4", f"/envs/ml has no generation 4; those that are kept are 0001-{A}, 0002-{B}, 0003-{C} (live)"),
        ("12f", "/envs/ml has no generation 12f;"),
        ("dead", "/envs/ml has no generation dead;"),
        ("", "no other generation was live at /envs/ml before; name one with env_rollback_to: "),
    ],
)
def test_what_is_not_there_is_told_with_what_is(to: str, sentence: str) -> None:
    with pytest.raises(DeployError) as caught:
        chosen(to, kept(f"0001-{A}", f"0002-{B}", f"0003-{C}", live=f"0003-{C}"))
    assert str(caught.value).startswith(sentence)


def test_two_contents_are_told_apart_by_more_of_their_ids() -> None:
    generations = kept(f"0002-{B}", "0003-1234ffffffff", live=f"0002-{B}")
    with pytest.raises(DeployError, match=f"1234 may be more than one generation of /envs/ml: 0002-{B} "):
        chosen("1234", generations)
    assert chosen("1234f", generations) == "0003-1234ffffffff"


def test_of_one_content_the_live_one_is_meant_then_the_newest_healthy_one() -> None:
    names = (f"0001-{B}", f"0002-{B}", f"0003-{B}", f"0004-{A}")
    assert chosen("1234", kept(*names, live=f"0001-{B}")) == f"0001-{B}"
    assert chosen("1234", kept(*names, live=f"0004-{A}", failed=[f"0003-{B}"])) == f"0002-{B}"


def test_without_a_name_it_is_what_the_last_rollout_replaced() -> None:
    switches = record(f"deploy 0001-{A}", f"deploy 0002-{B}")
    assert chosen("", kept(f"0001-{A}", f"0002-{B}", live=f"0002-{B}"), switches) == f"0001-{A}"
    # Made anew meanwhile.
    assert chosen("", kept(f"0002-{B}", f"0003-{A}", live=f"0002-{B}"), switches) == f"0003-{A}"
    with pytest.raises(
        DeployError, match=f"generation 0001-{A}, which was live at /envs/ml before, is not kept any more"
    ):
        chosen("", kept(f"0002-{B}", live=f"0002-{B}"), switches)


def test_what_was_taken_back_stays_so() -> None:
    switches = record(f"deploy 0001-{A}", f"deploy 0002-{B}", f"rollback 0001-{A}")
    assert chosen("", kept(f"0001-{A}", f"0002-{B}", live=f"0001-{A}"), switches) == f"0001-{A}"


def test_what_failed_becomes_live_by_force_only() -> None:
    generations = kept(f"0001-{A}", f"0002-{B}", live=f"0001-{A}", failed=[f"0002-{B}"])
    with pytest.raises(
        DeployError, match=r"generation 0002-1234\w+ of /envs/ml failed its health check; with env_rollback"
    ):
        chosen("2", generations)
    assert chosen("2", generations, force=True) == f"0002-{B}"


def test_nothing_is_told() -> None:
    with pytest.raises(DeployError, match=r"/envs/ml has no generation of airgap\.conda; check env_rollback_name"):
        chosen("", [])
