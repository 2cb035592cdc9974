# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Keeping
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import (
    Damage,
    Found,
    Plan,
    Want,
    plan_absent,
    plan_present,
    superfluous,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import Switch

OLD, NEW = "0" * 64, "1" * 64
HEADER = Header("0001-000000000000", OLD, "ml", "/envs/ml", True, 0, 0, "2026-11-22T10:00:00Z", "")
WANT = Want(OLD, True, 0, 0)
NOTHING = Found(False, None)
LIVE = Found(True, HEADER)
FOREIGN = Found(True, None)


@pytest.mark.parametrize(
    ("want", "found", "actions"),
    [
        (WANT, NOTHING, ["deploy 000000000000 at /envs/ml"]),
        (WANT, LIVE, []),
        (WANT._replace(content_id=NEW), LIVE, ["replace 000000000000 by 111111111111 at /envs/ml"]),
        (WANT._replace(uid=7, gid=8), LIVE, ["change the owner from 0:0 to 7:8 at /envs/ml"]),
        (WANT._replace(gid=8), LIVE, ["change the owner from 0:0 to 0:8 at /envs/ml"]),
        (WANT._replace(bytecode=False), LIVE, ["leave out bytecode at /envs/ml"]),
        (WANT, Found(True, HEADER._replace(bytecode=False)), ["compile bytecode at /envs/ml"]),
        (WANT, Found(True, HEADER, Damage(missing=("b", "a"))), ["put back a, b (missing) at /envs/ml"]),
        (WANT, Found(True, HEADER, Damage(modified=("a",))), ["put back a (modified) at /envs/ml"]),
        (
            WANT,
            Found(True, HEADER, Damage(missing=tuple("edcba"))),
            ["put back a, b, c and 2 more (missing) at /envs/ml"],
        ),
        (WANT, Found(True, HEADER, Damage(unexpected=("a",))), []),
        (
            Want(NEW, False, 7, 7),
            Found(True, HEADER, Damage(("a",), ("b",))),
            [
                "replace 000000000000 by 111111111111 at /envs/ml",
                "change the owner from 0:0 to 7:7 at /envs/ml",
                "leave out bytecode at /envs/ml",
                "put back a (missing) at /envs/ml",
                "put back b (modified) at /envs/ml",
            ],
        ),
    ],
)
def test_what_has_to_be_done_for_what_is_wanted(want: Want, found: Found, actions: list[str]) -> None:
    assert plan_present("/envs/ml", want, found) == Plan(deploy=bool(actions), actions=tuple(actions))


def test_what_airgap_did_not_deploy_is_left_as_it_is() -> None:
    with pytest.raises(
        DeployError, match=r"^/envs/ml exists and was not deployed by airgap\.conda; it is left as it is"
    ):
        plan_present("/envs/ml", WANT, FOREIGN)
    with pytest.raises(DeployError, match=r"^/envs/ml has no receipt of airgap\.conda, so it is not removed"):
        plan_absent("/envs/ml", FOREIGN)


@pytest.mark.parametrize(
    ("found", "plan"),
    [
        (NOTHING, Plan()),
        (LIVE, Plan(remove=True, actions=("remove /envs/ml (000000000000)",))),
        (
            Found(True, HEADER, Damage(missing=("a",), modified=("b",))),
            Plan(remove=True, actions=("remove /envs/ml (000000000000)",)),
        ),
    ],
)
def test_what_has_to_be_done_to_be_rid_of_it(found: Found, plan: Plan) -> None:
    assert plan_absent("/envs/ml", found) == plan


STRANGE = Found(True, HEADER, Damage(unexpected=tuple("abcd")), brought=("p 1 of pip (2 files)", "d", "c", "e"))
KEEP = Keeping(on_unexpected="keep")
ZERO = HEADER._replace(generation="0000-222222222222")


@pytest.mark.parametrize(
    "plan", [lambda keeping: plan_absent("/envs/ml", STRANGE, (), keeping), lambda keeping: plan_new(STRANGE, keeping)]
)
def test_files_that_airgap_did_not_deploy_keep_an_environment_or_are_kept_aside(
    plan: t.Callable[[Keeping], Plan],
) -> None:
    said = "p 1 of pip (2 files), d, c and 1 more"
    with pytest.raises(DeployError) as caught:
        plan(Keeping())
    assert f"holds files that airgap.conda did not deploy: {said}; nothing was changed" in str(caught.value)
    assert plan(KEEP).actions[-1] == f"keep aside what airgap.conda did not deploy at /envs/ml: {said}"


def plan_new(found: Found, keeping: Keeping) -> Plan:
    return plan_present("/envs/ml", WANT._replace(content_id=NEW), found, keeping)


def test_they_are_in_nobodys_way_while_there_is_nothing_to_do() -> None:
    assert plan_present("/envs/ml", WANT, STRANGE) == Plan()


def test_an_environment_of_another_is_kept_as_generation_zero_if_asked_for() -> None:
    adopt = Keeping(adopt=True)
    assert plan_present("/envs/ml", WANT, FOREIGN._replace(adoptable=True), adopt) == Plan(
        deploy=True,
        adopt=True,
        actions=("keep what is at /envs/ml as generation zero", "deploy 000000000000 at /envs/ml"),
    )
    with pytest.raises(DeployError, match="is no directory that can be renamed, so it cannot be adopted"):
        plan_present("/envs/ml", WANT, FOREIGN, adopt)
    assert plan_present("/envs/ml", WANT, NOTHING, adopt) == Plan(
        deploy=True, actions=("deploy 000000000000 at /envs/ml",)
    )


def test_what_was_done_in_generation_zero_is_its_owners() -> None:
    found = Found(True, ZERO, Damage(("a",), ("b",), ("c",)))
    plan = plan_new(found, Keeping())
    assert plan.adopt and plan.actions == ("replace 000000000000 by 111111111111 at /envs/ml",)


@pytest.mark.parametrize(
    ("found", "kept"), [(LIVE, (ZERO.generation,)), (Found(True, ZERO), ()), (NOTHING, ("0000-1",))]
)
def test_generation_zero_is_not_removed_unasked(found: Found, kept: tuple[str, ...]) -> None:
    with pytest.raises(DeployError, match="was adopted, not deployed, so nothing is removed"):
        plan_absent("/envs/ml", found, kept)
    assert plan_absent("/envs/ml", found, kept, KEEP).remove == found.exists


def switches(*names: str) -> list[Switch]:
    return [Switch(name, before, "deploy", "", "") for before, name in zip(("", *names), names)]


@pytest.mark.parametrize(
    ("kept", "lived", "live", "keep", "superfluous_ones"),
    [
        ([], ["1-a"], "1-a", 2, []),
        (["1-a"], ["1-a", "2-b"], "2-b", 2, []),
        (["1-a"], ["1-a", "2-b"], "2-b", 1, ["1-a"]),
        (["1-a", "2-b"], ["1-a", "2-b", "3-c"], "3-c", 2, ["1-a"]),
        (["1-a", "2-b"], ["1-a", "2-b", "3-c"], "3-c", 3, []),
        # Gone back to 1, then on to 4: 1 was live last.
        (["1-a", "2-b", "3-c"], ["1-a", "2-b", "3-c", "1-a", "4-d"], "4-d", 2, ["2-b", "3-c"]),
        # 2 never was live for long.
        (["1-a", "2-b"], ["1-a", "3-c"], "3-c", 2, ["2-b"]),
        (["1-a", "2-b"], ["1-a"], "1-a", 3, ["1-a"]),
        # Repaired: the same content, damaged.
        (["1-a", "2-b"], ["1-a", "2-b", "3-b"], "3-b", 3, ["2-b"]),
        (["0000-f", "1-a"], ["0000-f", "1-a", "2-b"], "2-b", 1, ["1-a"]),
        (["1-a", "2-b"], [], "3-c", 2, ["1-a"]),
    ],
)
def test_which_generations_are_not_needed(
    kept: list[str], lived: list[str], live: str, keep: int, superfluous_ones: list[str]
) -> None:
    assert superfluous(kept, switches(*lived), live, keep) == superfluous_ones


CLEAR = Keeping(on_unexpected="clear")


@pytest.mark.parametrize(
    ("found", "keeping", "actions"),
    [
        (LIVE, CLEAR, []),
        (LIVE._replace(strange=True), KEEP, []),
        (LIVE._replace(strange=True), CLEAR, ["put back what was deployed, and nothing else, at /envs/ml"]),
        (
            LIVE._replace(strange=True, damage=Damage(unexpected=("a",)), brought=("a",)),
            CLEAR,
            [
                "put back what was deployed, and nothing else, at /envs/ml",
                "keep aside what airgap.conda did not deploy at /envs/ml: a",
            ],
        ),
        (
            LIVE._replace(strange=True, damage=Damage(unexpected=("a",)), brought=("a",)),
            Keeping(on_unexpected="remove"),
            [
                "put back what was deployed, and nothing else, at /envs/ml",
                "remove what airgap.conda did not deploy at /envs/ml: a",
            ],
        ),
    ],
)
def test_what_nobody_deployed_is_cleared_away_if_asked(found: Found, keeping: Keeping, actions: list[str]) -> None:
    plan = plan_present("/envs/ml", WANT, found, keeping)
    assert (list(plan.actions), plan.deploy) == (actions, bool(actions))
