# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""How the embedded solver reaches channels: what the user configured for conda, as far as it can be told."""

from __future__ import annotations

import fnmatch
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import condarc
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import credentials, without_credentials

_INSTEAD = "set backend to conda, mamba or micromamba"
#: Variables of requests, and so of conda, that name the authorities to trust.
_AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Certificate(t.NamedTuple):
    """A client certificate: paths of files in PEM."""

    path: str
    #: Of the private key; empty where that is in the same file.
    key: str = ""


class Network(t.NamedTuple):
    """What the process that reads channels is given."""

    #: Of its environment.
    variables: t.Mapping[str, str]
    #: By the address of a channel, those to read it from instead.
    mirrors: t.Mapping[str, t.Sequence[str]]
    #: Whether it looks at certificates at all.
    verifies: bool = True
    #: What it presents, if anything.
    certificate: t.Optional[Certificate] = None


def network(settings: condarc.Settings, environ: t.Mapping[str, str], urls: t.Sequence[str]) -> Network:
    """Return how to reach the channels *urls*; raises C(BuildError) for what only conda itself could do."""
    _refuse(settings, urls)
    verify = settings.get("ssl_verify", True)
    variables = {**_proxies(settings.get("proxy_servers") or {}, environ), **_authorities(verify, environ)}
    verifies, mirrors = not _is_false(verify), _mirrors(settings)
    if any(credentials(url) for listed in mirrors.values() for url in listed) or (mirrors and not verifies):
        raise BuildError(
            "conda's configuration has mirrored_channels with credentials, or without ssl_verify; put logins in .netrc"
        )
    return Network(variables, mirrors, verifies, _certificate(settings))


def _certificate(settings: condarc.Settings) -> Certificate | None:
    path, key = (str(settings.get(name) or "") for name in ("client_ssl_cert", "client_ssl_cert_key"))
    return Certificate(path, key) if path else None


def _refuse(settings: condarc.Settings, urls: t.Sequence[str]) -> None:
    for setting in settings.get("channel_settings") or ():
        url = next((url for url in urls if _is_of(str(setting.get("channel")), url, settings)), None)
        if url and setting.get("auth"):
            opened = f"{without_credentials(url)} by the plugin {setting['auth']}"
            raise BuildError(
                f"conda's configuration opens {opened}, which the embedded solver does not have; {_INSTEAD}"
            )


def _is_of(pattern: str, url: str, settings: condarc.Settings) -> bool:
    public = without_credentials(url)
    named = without_credentials(condarc.channels(settings).url(pattern, "/"))
    return fnmatch.fnmatchcase(public, pattern) or public == named


def _proxies(servers: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> dict[str, str]:
    """Return the variables for *servers*; as with conda, those of the environment count more."""
    found = {}
    for scheme, address in servers.items():
        if scheme not in ("http", "https", "all"):
            raise BuildError(
                f"conda's configuration has a proxy for {scheme}; only those for http, https, all are known; {_INSTEAD}"
            )
        name = f"{scheme}_proxy"
        if address and not environ.get(name) and not environ.get(name.upper()):
            found[name] = str(address)
    return found


def _authorities(verify: object, environ: t.Mapping[str, str]) -> dict[str, str]:
    """Return the variable that names the authorities to trust: as with conda, a path in *verify* counts more."""
    path = os.path.expanduser(verify) if isinstance(verify, str) else ""
    if not os.path.isabs(path):
        if environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR"):
            return {}
        path = next(filter(None, map(environ.get, _AUTHORITIES)), "")
    if not path:
        return {}
    if not os.path.exists(path):
        raise BuildError(f"the authorities to trust for channels are to be in {path}, which is not there")
    return {"SSL_CERT_DIR" if os.path.isdir(path) else "SSL_CERT_FILE": path}


def _is_false(verify: object) -> bool:
    return str(verify).lower() in ("false", "no", "off", "0")


def _mirrors(settings: condarc.Settings) -> dict[str, list[str]]:
    """Return by the address of a channel those to read it from instead, the first that answers."""
    names = condarc.channels(settings)
    configured = settings.get("mirrored_channels") or {}
    return {names.url(str(name), "/"): list(names.urls(listed, "/")) for name, listed in configured.items()}
