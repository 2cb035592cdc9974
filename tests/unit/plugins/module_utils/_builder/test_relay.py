# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no certificate; tests/live/test_mirrors.py has a site that asks for one."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import relay as relay_module
from ansible_collections.airgap.conda.plugins.module_utils._builder.networking import Certificate
from ansible_collections.airgap.conda.plugins.module_utils._builder.relay import (
    Redirects,
    Relay,
    host_of,
    spare_loopback,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError

#: Where nothing listens.
NOBODY = "127.0.0.1:1"


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Relay:
    """One that presents nothing, and asks no proxy."""
    environ: dict[str, str] = {}
    spare_loopback(environ)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(relay_module, "_context", lambda *_given: ssl.create_default_context())
    return Relay(Certificate("/me.pem"))


def status(url: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(url, timeout=10)
    error.value.close()
    return error.value.code


def test_only_https_is_read_through_it_each_host_once(relay: Relay) -> None:
    urls = ["https://a/x", "https://ann:pw@a/y", "https://b:8443/t/token/z", "http://c/x", "file:///srv/x"]
    assert relay.ways(urls) == {"https://a/": f"{relay.top}a/", "https://b:8443/": f"{relay.top}b:8443/"}


def test_who_does_not_know_the_key_is_told_nothing(relay: Relay) -> None:
    top = relay.top.rpartition("/")[0].rpartition("/")[0]
    assert [status(f"{top}{path}") for path in ("", "/", "/a/x", f"/{'0' * 32}/{NOBODY}/x")] == [403] * 4
    assert relay.failure == ""


def test_who_cannot_be_reached_is_named_in_words_of_channels(relay: Relay) -> None:
    assert status(f"{relay.top}{NOBODY}/x") == 502
    failure = f"{NOBODY}: Connection refused (client certificate: /me.pem)"
    assert relay.failure == failure
    said = relay.explained(f"cannot fetch {relay.top}{NOBODY}/x")
    assert said == f"cannot fetch https://{NOBODY}/x\nCaused by: {failure}"


@pytest.mark.parametrize(
    ("to", "login"),
    [
        ("https://mirror.example.com/other", "Basic eA=="),
        ("https://mirror.example.com:8443/x", None),
        ("https://store.example.com/x", None),
        ("http://mirror.example.com/x", None),
    ],
)
def test_a_login_goes_to_no_other_host(to: str, login: str | None) -> None:
    asked = urllib.request.Request(
        "https://mirror.example.com/x", headers={"Authorization": "Basic eA==", "Range": "r"}
    )
    new = Redirects().redirect_request(asked, None, 302, "Found", {}, to)
    assert new is not None and new.full_url == to
    assert (new.get_header("Authorization"), new.get_header("Range")) == (login, "r")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, "127.0.0.1"), ({"no_proxy": "a,b"}, "a,b,127.0.0.1"), ({"NO_PROXY": "a"}, "a,127.0.0.1")],
)
def test_this_machine_is_reached_without_a_proxy(environ: dict[str, str], expected: str) -> None:
    spare_loopback(environ)
    assert environ == {"no_proxy": expected, "NO_PROXY": expected}


def test_a_login_is_no_part_of_a_host() -> None:
    assert host_of("https://ann:p@w@h:1/x") == "h:1"


def test_a_certificate_that_is_not_there_is_named() -> None:
    with pytest.raises(BuildError, match=r"^the client certificate /nowhere.pem with /k cannot be used: No such file"):
        Relay(Certificate("/nowhere.pem", "/k"))
