# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Relay: presents the user's client certificate to channels, for a library that has no way to.

A server on the loopback interface, for as long as this process lives. It asks for nothing but what is asked of it, in
the same words, and answers only who knows its key: others on this machine have no business with the certificate.
"""

from __future__ import annotations

import functools
import http.client
import http.server
import os
import secrets
import shutil
import socketserver
import ssl
import threading
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.airgap.conda.plugins.module_utils._builder.networking import Certificate
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError

#: Seconds without a byte until a channel is given up.
_PATIENCE = 60
_CHUNK = 1 << 20
#: Headers that concern one connection, and not what is asked for or answered.
_HOP = frozenset(("connection", "host", "keep-alive", "proxy-authorization", "te", "transfer-encoding", "upgrade"))


class Relay:
    """Reads https with a client certificate. Proxies and authorities are those of this process's environment."""

    def __init__(self, certificate: Certificate, verifies: bool = True) -> None:
        """Start; raise C(BuildError) where the certificate cannot be used."""
        https = urllib.request.HTTPSHandler(context=_context(certificate, verifies))
        self._opener = urllib.request.build_opener(https, Redirects())
        self._key = secrets.token_hex(16)
        self._certificate = certificate
        #: Why the last request that could not be passed on could not, empty for none.
        self.failure = ""
        # That of http.server asks for the name of this machine, for which there may be nobody to ask.
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), functools.partial(_Handler, self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def top(self) -> str:
        """The address below which all is read: first the host and port, then the path there."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{self._key}/"

    def ways(self, urls: t.Iterable[str]) -> dict[str, str]:
        """Return by the beginning of addresses where they are read instead; only https needs a certificate."""
        hosts = dict.fromkeys(host_of(url) for url in urls if url.startswith("https:"))
        return {f"https://{host}/": f"{self.top}{host}/" for host in hosts}

    def wanted(self, path: str) -> str | None:
        """Return the address that a request for *path* is for; None where it does not know the key."""
        top = f"/{self._key}/"
        known = secrets.compare_digest(path[: len(top)].encode(), top.encode())
        return f"https://{path[len(top) :]}" if known else None

    def open(self, request: urllib.request.Request) -> t.Any:
        """Return the answer of the channel, whatever its status; None where there is none."""
        try:
            return self._opener.open(request, timeout=_PATIENCE)
        except urllib.error.HTTPError as error:
            return error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            said = getattr(reason, "strerror", None) or reason
            # A site that does not take it may say so, or hang up without a word.
            self.failure = f"{host_of(request.full_url)}: {said} (client certificate: {self._certificate.path})"
            return None

    def explained(self, text: str) -> str:
        """Return *text*, in which a library speaks of this relay, in words of channels, and what went wrong here."""
        said = text.replace(self.top, "https://")
        return f"{said}\nCaused by: {self.failure}" if self.failure else said


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; a login goes to the host that it is for and no other."""

    def redirect_request(self, req: urllib.request.Request, *given: t.Any) -> urllib.request.Request | None:
        """Return what is asked for instead."""
        new = super().redirect_request(req, *given)
        if new is not None and (new.type, host_of(new.full_url)) != (req.type, host_of(req.full_url)):
            new.remove_header("Authorization")
        return new


def host_of(url: str) -> str:
    """Return host and port of *url*, without a login."""
    return urllib.parse.urlsplit(url).netloc.rpartition("@")[2]


def spare_loopback(environ: t.MutableMapping[str, str]) -> None:
    """Have what reads *environ* reach this machine without a proxy."""
    known = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = f"{known},127.0.0.1".lstrip(",")
    environ.update(no_proxy=hosts, NO_PROXY=hosts)


def _context(certificate: Certificate, verifies: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    path, key = map(os.path.expanduser, certificate)
    try:
        # A key with a password is refused: nobody is there to be asked for it.
        context.load_cert_chain(path, key or None, password=lambda: "")
    except OSError as error:
        raise BuildError(
            f"the client certificate {path}{' with ' + key if key else ''} cannot be used:"
            f" {error.strerror or error}; conda's configuration names it (client_ssl_cert)"
        ) from None
    return context


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, relay: Relay, *given: t.Any) -> None:
        self._relay = relay
        super().__init__(*given)

    def do_GET(self) -> None:
        """Pass the request on, and the answer back."""
        url = self._relay.wanted(self.path)
        if url is None:
            self.send_error(403)
            return
        asked = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        answer = self._relay.open(urllib.request.Request(url, headers=asked, method=self.command))
        if answer is None:
            self.send_error(502)
            return
        with answer:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                shutil.copyfileobj(answer, self.wfile, _CHUNK)

    do_HEAD = do_GET

    def log_message(self, *_unused: t.Any) -> None:
        """Say nothing: what is asked for may hold a token."""
