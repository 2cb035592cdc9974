# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import netrc
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.pip_logins import Logins


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    (tmp_path / "own").write_text("machine other.example.com login me password mine\n")
    inherited = {"NETRC": str(tmp_path / "own"), "TOKEN": "t%40k", "GIT_CONFIG_COUNT": "1"}
    return Logins(inherited, quotes=True)


def known(logins: Logins, directory: Path) -> dict[str, tuple[str, str]]:
    path = directory / "netrc"
    path.write_text(logins.netrc())
    return {host: (entry[0], entry[2] or "") for host, entry in netrc.netrc(path).hosts.items()}


@pytest.mark.parametrize(
    ("text", "bare", "login"),
    [
        ("--index-url https://ann:pw@h.example.com/s", "--index-url https://h.example.com/s", ("ann", "pw")),
        ("-i http://ann:p%40w@h.example.com:8080/s", "-i http://h.example.com:8080/s", ("ann", "p@w")),
        ("x @ https://tok@h.example.com/x.whl#sha256=00", "x @ https://h.example.com/x.whl#sha256=00", ("tok", "")),
        ("-i https://${TOKEN}:@h.example.com/s", "-i https://h.example.com/s", ("t@k", "")),
        ("-i https://a:${NONE}@h.example.com/s", "-i https://h.example.com/s", ("a", "${NONE}")),
        ("-i https://a:b%20c%22%5C@h.example.com/s", "-i https://h.example.com/s", ("a", 'b c"\\')),
    ],
)
def test_logins_go_to_a_file(text: str, bare: str, login: tuple[str, str], logins: Logins, tmp_path: Path) -> None:
    assert logins.taken_out(text) == bare
    assert known(logins, tmp_path) == {"other.example.com": ("me", "mine"), "h.example.com": login}


@pytest.mark.parametrize("text", ["attrs==1", "a @ https://h/a.whl", "git+ssh://git@h/a.git@main", "a@b"])
def test_what_has_no_login_stays(text: str, logins: Logins) -> None:
    assert logins.taken_out(text) == text
    assert logins.variables() == {}


def test_a_second_login_for_a_host_stays(logins: Logins) -> None:
    assert (
        logins.taken_out("https://a:b@h/1 https://a:b@h/2 https://c:d@h/3") == "https://h/1 https://h/2 https://c:d@h/3"
    )


def test_what_an_old_python_cannot_read_stays() -> None:
    old = Logins({"NETRC": "/nowhere"}, quotes=False)
    assert old.taken_out("https://tok@h/ https://a:b@g/") == "https://tok@h/ https://g/"
    assert old.netrc() == "\nmachine g login a password b\n"


def test_git_gets_them_in_variables(logins: Logins) -> None:
    assert logins.taken_out("x @ git+https://u:p@h/a/b.git@v1#egg=x") == "x @ git+https://h/a/b.git@v1#egg=x"
    encoded = base64.b64encode(b"u:p").decode()
    assert logins.variables() == {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_1": "http.https://h/a/b.git.extraHeader",
        "GIT_CONFIG_VALUE_1": f"Authorization: Basic {encoded}",
    }


def test_settings_that_hold_logins_are_replaced(logins: Logins) -> None:
    listed = """\
:env:.index-url='https://a:b@h/env'
global.extra-index-url='\\nhttps://e/1\\nhttps://c:d@g/2'
global.index-url='https://a:b@h/global'
global.timeout='60'
install.find-links="https://f/it's"
download.index-url='https://x:y@z/1'
"""
    assert logins.settings(listed) == {
        "PIP_INDEX_URL": "https://h/env",
        "PIP_EXTRA_INDEX_URL": "https://e/1 https://g/2",
    }
