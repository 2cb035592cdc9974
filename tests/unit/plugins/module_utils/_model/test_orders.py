# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Needs, Piece
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    Health,
    Keeping,
    Offer,
    Order,
    Registration,
    Source,
    parse_order,
)

#: As the module's argument spec gives it, nothing said but what must be.
LEAST: dict[str, t.Any] = {
    "name": "ml",
    "envs_dir": "/opt/conda/envs",
    "state": "present",
    "owner": None,
    "group": None,
    "verify": "quick",
    "bytecode": True,
    "health": None,
    "register": None,
    "offers": None,
}

OFFER = {
    "content_id": "0" * 64,
    "needs": {
        "platform": "linux-64",
        "glibc": "",
        "cuda": "",
        "prefix_max": 255,
        "narrowest": "",
        "prefix": "",
        "size": 1,
        "inodes": 1,
    },
    "pieces": {
        "manifest": {"file": "manifest.json", "size": 3, "sha256": "a"},
        "files": {"file": "files.jsonl.gz", "size": 4, "sha256": "b"},
        "archive": {"file": "archive.tar.zst", "size": 5, "sha256": "c"},
    },
    "codec": "zstd",
    "carriers": ["bin/activate"],
    "label": "ml-linux-64-000000000000",
    "derived": False,
    "base": "",
    "lost": [],
}


def test_what_is_not_said_takes_its_default() -> None:
    assert parse_order(LEAST) == Order(
        name="ml",
        envs_dir="/opt/conda/envs",
        state="present",
        offers={},
        owner="",
        group="",
        verify="quick",
        bytecode=True,
        health=Health(),
        register=Registration("/opt/conda", (), False, (), False),
    )


def test_everything_that_can_be_said_is_taken() -> None:
    register = {
        "conda_root": "/c/",
        "users": ["ann"],
        "profile": True,
        "commands": ["x"],
        "kernel": True,
        "frozen": True,
    }
    health = {"imports": ["numpy"], "commands": ["x --version"], "timeout": 5}
    order = parse_order(
        {
            **LEAST,
            "owner": "ann",
            "group": "staff",
            "register": register,
            "health": health,
            "offers": {"linux-64": OFFER},
        }
    )
    assert order.register == Registration("/c", ("ann",), True, ("x",), True, True)
    assert order.health == Health(("numpy",), ("x --version",), 5.0)
    assert (order.owner, order.group) == ("ann", "staff")
    assert order.offers["linux-64"] == Offer(
        content_id="0" * 64,
        needs=Needs("linux-64", "", "", 255, 1, 1),
        pieces={
            "manifest": Piece("manifest.json", 3, "a"),
            "files": Piece("files.jsonl.gz", 4, "b"),
            "archive": Piece("archive.tar.zst", 5, "c"),
        },
        codec="zstd",
        carriers=("bin/activate",),
        label="ml-linux-64-000000000000",
    )
    assert order.offers["linux-64"].size == 12


LOGIN = "env_deploy_source_url holds a login"
ELSEWHERE = "env_deploy_source_url must begin with http:// or https:// and name a host"


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, Source("controller")),
        ({"type": "path", "path": "/media/stick", "url": None}, Source("path", path="/media/stick")),
        (
            {"type": "url", "url": "https://s/x", "username": "ann", "password": "p", "ca_path": "", "proxy": None},
            Source("url", url="https://s/x", username="ann", password="p"),
        ),
        # What is not asked for is not judged.
        ({"type": "controller", "path": "x", "url": "y"}, Source("controller", path="x", url="y")),
    ],
)
def test_sources(fields: dict[str, t.Any], source: Source) -> None:
    assert parse_order({**LEAST, "source": fields}).source == source


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"type": "path"}, "env_deploy_source_path must be an absolute path of the host, not ''"),
        ({"type": "path", "path": "stick"}, "env_deploy_source_path must be an absolute path"),
        ({"type": "url"}, ELSEWHERE),
        ({"type": "url", "url": "file:///etc"}, ELSEWHERE),
        ({"type": "url", "url": "https:///x"}, ELSEWHERE),
        ({"type": "url", "url": "https://ann:secret@site/x"}, LOGIN),
        ({"type": "url", "url": "https://ann@site/x"}, LOGIN),
    ],
)
def test_sources_that_cannot_be(fields: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(DeployError) as caught:
        parse_order({**LEAST, "source": fields})
    assert str(caught.value).startswith(sentence) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "envs_dir", ["/opt/envs", "/opt/envs/", "/opt/envs//", "/opt//envs", "/opt/./envs", "//opt/envs"]
)
def test_one_directory_has_one_prefix_however_it_is_written(envs_dir: str) -> None:
    assert parse_order({**LEAST, "envs_dir": envs_dir}).prefix == "/opt/envs/ml"


@pytest.mark.parametrize("name", ["", ".", "..", ".airgap", "a/b", "a b", "-x", "a\n", "x" * 129, "caf\u00e9"])
def test_names_that_are_no_word_are_refused(name: str) -> None:
    with pytest.raises(DeployError) as caught:
        parse_order({**LEAST, "name": name})
    assert str(caught.value) == f"{name!r} cannot name an environment; use letters, digits and . _ + -"


@pytest.mark.parametrize("name", ["x", "my_env", "3.11", "a+b-c", "x" * 128, "_"])
def test_names_that_are_a_word_are_taken(name: str) -> None:
    assert parse_order({**LEAST, "name": name}).name == name


@pytest.mark.parametrize("envs_dir", ["", "/", "envs", "./envs", "~/envs"])
def test_a_relative_directory_is_refused(envs_dir: str) -> None:
    with pytest.raises(DeployError, match="must be an absolute path of the host"):
        parse_order({**LEAST, "envs_dir": envs_dir})


def test_how_generations_are_kept() -> None:
    asked = {"keep": 5, "collect_used": True, "share": "copy", "on_unexpected": "keep", "adopt": True}
    assert parse_order({**LEAST, **asked}).keeping == Keeping(5, True, "keep", True, "copy")
    assert parse_order({**LEAST, **dict.fromkeys(asked)}).keeping == parse_order(LEAST).keeping == Keeping()
    with pytest.raises(DeployError, match="env_deploy_keep counts the live generation, so it is 1 or more, not 0"):
        parse_order({**LEAST, "keep": 0})
