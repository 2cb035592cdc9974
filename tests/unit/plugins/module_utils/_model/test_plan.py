# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import (
    Damage,
    Found,
    Plan,
    Want,
    plan_absent,
    plan_present,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header

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
            Found(True, HEADER, Damage(("a",), ("b",), ("c",))),
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


def test_files_that_airgap_did_not_deploy_keep_an_environment() -> None:
    with pytest.raises(DeployError, match=r"holds files that airgap\.conda did not deploy: a, b, c and 1 more;"):
        plan_absent("/envs/ml", Found(True, HEADER, Damage(unexpected=("d", "c", "b", "a"))))
