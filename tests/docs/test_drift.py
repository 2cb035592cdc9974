# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide of drift names every kind and no other; what the role takes from env_deploy is what that has."""

from __future__ import annotations

import re

import yaml
from ansible_collections.airgap.conda.plugins.action.env_drift_info import HOW_TO_DEPLOY
from ansible_collections.airgap.conda.plugins.module_utils._model.findings import KINDS
from ansible_collections.airgap.conda.plugins.modules import env_deploy, env_drift_info
from world.pages import CHECKOUT, GUIDES

GUIDE = (GUIDES / "guide_drift.rst").read_text()


def test_every_kind_is_explained_and_no_other() -> None:
    rows = re.findall(r"^    \* - (``.+)$", GUIDE, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"``([a-z-]+)``", row)]
    assert sorted(named) == sorted(KINDS)


def test_the_worst_is_explained_first() -> None:
    rows = re.findall(r"^    \* - ``([a-z-]+)``", GUIDE, re.MULTILINE)
    weights = [KINDS[name].weight for name in rows]
    assert weights == sorted(weights, reverse=True)


def test_the_role_takes_what_env_deploy_has_by_default() -> None:
    text = (CHECKOUT / "roles/env_drift/vars/main.yml").read_text()
    taken = dict(re.findall(r"(env_deploy_\w+) \| default\((.*?)\) \}\}\"", text))
    defaults = yaml.safe_load((CHECKOUT / "roles/env_deploy/defaults/main.yml").read_text())
    assert len(taken) > 8
    assert {name: yaml.safe_load(value) for name, value in taken.items()} == {name: defaults[name] for name in taken}


def test_one_list_of_environments_serves_both_modules() -> None:
    deployed, looked_at = (
        set(module.argument_spec()["environments"]["options"]) for module in (env_deploy, env_drift_info)
    )
    # Who gives the order is set by the action plugin.
    assert deployed - {"by", *HOW_TO_DEPLOY} == looked_at
    assert not looked_at & set(HOW_TO_DEPLOY)
