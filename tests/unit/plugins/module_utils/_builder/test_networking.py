# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.networking import Certificate, Network, network
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError

URL = "https://ann:pw@mirror.example.com/conda-forge"


@pytest.fixture(autouse=True)
def authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").touch()
    (tmp_path / "certs").mkdir()


@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        ({}, {}, {}),
        ({"ssl_verify": "{here}/ca.pem"}, {"SSL_CERT_FILE": "/x"}, {"SSL_CERT_FILE": "{here}/ca.pem"}),
        ({"ssl_verify": "{here}/certs"}, {}, {"SSL_CERT_DIR": "{here}/certs"}),
        ({"ssl_verify": True}, {"REQUESTS_CA_BUNDLE": "{here}/ca.pem"}, {"SSL_CERT_FILE": "{here}/ca.pem"}),
        ({"ssl_verify": "truststore"}, {"CURL_CA_BUNDLE": "{here}/ca.pem"}, {"SSL_CERT_FILE": "{here}/ca.pem"}),
        ({}, {"SSL_CERT_FILE": "/x", "REQUESTS_CA_BUNDLE": "{here}/ca.pem"}, {}),
        ({"proxy_servers": {"https": "http://p:1"}}, {}, {"https_proxy": "http://p:1"}),
        ({"proxy_servers": {"https": "http://p:1", "http": ""}}, {"HTTPS_PROXY": "http://q:1"}, {}),
    ],
)
def test_variables(
    settings: dict[str, object], environ: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    def here(value: object) -> object:
        return value.replace("{here}", str(tmp_path)) if isinstance(value, str) else value

    given = {name: here(value) for name, value in settings.items()}
    found = network(given, {name: str(here(value)) for name, value in environ.items()}, [URL])
    assert found == Network({name: str(here(value)) for name, value in expected.items()}, {})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"client_ssl_cert": "/me.pem"}, Certificate("/me.pem")),
        ({"client_ssl_cert": "/me.pem", "client_ssl_cert_key": "/me.key"}, Certificate("/me.pem", "/me.key")),
    ],
)
def test_what_is_presented(settings: dict[str, object], expected: Certificate | None) -> None:
    assert network(settings, {}, [URL]).certificate == expected


@pytest.mark.parametrize("verify", [False, "false", "no"])
def test_certificates_that_are_not_looked_at(verify: object) -> None:
    assert not network({"ssl_verify": verify}, {}, [URL]).verifies


def test_mirrors_are_by_the_address_of_their_channel() -> None:
    listed = ["https://a/conda-forge", "https://b/conda-forge"]
    assert network({"mirrored_channels": {"conda-forge": listed}}, {}, [URL]).mirrors == {
        "https://conda.anaconda.org/conda-forge": listed
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"proxy_servers": {"https://mirror.example.com": "http://p"}}, "has a proxy for https://mirror.example.com"),
        (
            {"channel_settings": [{"channel": "https://mirror.example.com/*", "auth": "our-login"}]},
            "opens https://mirror.example.com/conda-forge by the plugin our-login",
        ),
        ({"mirrored_channels": {"conda-forge": [URL]}}, "has mirrored_channels with credentials"),
        ({"mirrored_channels": {"x": ["https://h/x"]}, "ssl_verify": False}, "or without ssl_verify"),
        ({"ssl_verify": "/nowhere/ca.pem"}, "are to be in /nowhere/ca.pem, which is not there"),
    ],
)
def test_what_only_conda_could_do_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(BuildError) as error:
        network(settings, {}, [URL])
    assert said in str(error.value) and "pw" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"channel_settings": [{"channel": "other", "auth": "our-login"}]}, URL),
        ({"channel_settings": [{"channel": URL}]}, URL),
    ],
)
def test_what_does_not_concern_the_channels_is_not_refused(settings: dict[str, object], url: str) -> None:
    assert network(settings, {}, [url]) == Network({}, {})
