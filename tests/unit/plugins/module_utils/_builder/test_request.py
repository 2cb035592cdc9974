# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import request as requests
from ansible_collections.airgap.conda.plugins.module_utils._builder.request import request
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

SPEC = "name: demo\nchannels: [conda-forge]\ndependencies: [python, {pip: [attrs]}]\n"


@pytest.fixture(autouse=True)
def builder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "builder_platform", lambda: "linux-64")


def asked(text: str = SPEC, **parameters: t.Any) -> requests.Request:
    nothing = dict.fromkeys(("name", "channels", "platform", "pip_args", "virtual_packages", "files"))
    return request({**nothing, "spec": "/w/e.yml", "content": text, **parameters})


def test_pip_is_added_with_a_word() -> None:
    wanted, warnings = asked()
    assert wanted.dependencies == ("python", "pip")
    assert warnings == ("/w/e.yml: has a pip section but no pip among its dependencies; pip is added",)


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        (SPEC, {"platform": "linux-aarch64"}, "/w/e.yml: the pip section cannot be installed for linux-aarch64"),
        (SPEC, {"platform": "linux"}, "'linux' is no platform"),
        (SPEC, {"name": "a/b"}, "/w/e.yml: 'a/b' cannot name a directory"),
        (f"#\n{SPEC.replace('demo', 'a/b')}", {}, "/w/e.yml:2: 'a/b' cannot name a directory"),
        (SPEC.replace("attrs", "-r r.txt"), {}, "/w/e.yml:3: /w/r.txt cannot be read: No such file"),
        (SPEC.replace("attrs", "./a.whl"), {}, "/w/e.yml:3: "),
        (SPEC.replace("python", "./a-1-0.conda"), {}, "/w/e.yml:3: "),
        ("dependencies: [a]\n", {"name": "a"}, "/w/e.yml: names no channel"),
        ("dependencies: ['>=1']\nchannels: [c]\n", {"name": "a"}, "/w/e.yml:1: '>=1' names no package"),
    ],
)
def test_refusals(text: str, parameters: dict[str, t.Any], message: str) -> None:
    with pytest.raises(SpecError) as error:
        asked(text, **parameters)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "parameters",
    [
        {"channels": ["other"]},
        {"virtual_packages": {"glibc": "2.31"}},
        {"pip_args": ["--pre"]},
        {"name": "other"},
        {"text": SPEC.replace("attrs", "attrs==1")},
        {"text": SPEC + "variables: {A: b}\n"},
    ],
)
def test_every_input_counts(parameters: dict[str, t.Any]) -> None:
    assert asked(**parameters).wanted.inputs != asked().wanted.inputs


def test_content_of_what_is_included_and_of_local_files_counts(tmp_path: Path) -> None:
    wheel, package = tmp_path / "a-1.whl", tmp_path / "b-1-0.conda"
    text = SPEC.replace("attrs", f"-r r.txt, {wheel}").replace("python", f"python, {package}")
    seen = set()
    for included, *contents in (("x", b"1", b"1"), ("y", b"1", b"1"), ("y", b"2", b"1"), ("y", b"2", b"2")):
        wheel.write_bytes(contents[0])
        package.write_bytes(contents[1])
        seen.add(asked(text, files={"/w/r.txt": included}).wanted.inputs)
    assert len(seen) == 4


def test_an_explicit_list_needs_a_name_and_no_channel() -> None:
    text = "@EXPLICIT\nhttps://h/c/noarch/six-1-0.conda\n"
    wanted = asked(text, name="demo").wanted
    assert (wanted.explicit, wanted.channels) == (True, ())
    with pytest.raises(SpecError, match=r"^/w/e\.yml: the environment has no name"):
        asked(text)


def test_comments_order_of_keys_and_new_tokens_do_not_count() -> None:
    other = "# demo\ndependencies: [python, {pip: [attrs]}]\nname: demo\nchannels: [conda-forge]\n"
    assert asked(other).wanted.inputs == asked().wanted.inputs
    tokens = (asked(channels=[f"https://h/t/tk-{number}/c"]).wanted.inputs for number in (1, 2))
    assert len(set(tokens)) == 1


def test_the_workdir_is_in_the_users_cache() -> None:
    assert requests.default_workdir({"XDG_CACHE_HOME": "/c"}) == "/c/airgap-conda/build"
