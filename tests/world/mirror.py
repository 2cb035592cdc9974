# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's mirror as its builders meet it, on the loopback interface.

It is https://mirror.example.com, by a certificate authority of the site's own, and reached through a proxy only.
"""

from __future__ import annotations

import base64
import datetime
import functools
import http.server
import select
import socket
import ssl
import threading
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAME = "mirror.example.com"


class Demands(t.NamedTuple):
    """What the mirror wants of those who come."""

    #: user:password
    login: str = ""
    #: As conda has it, before the name of what is asked for: /t/<token>/
    token: str = ""
    #: Whether they must have one of the site's authority: client.pem beside it.
    certificate: bool = False


NOTHING = Demands()


class Mirror(t.NamedTuple):
    """How builders reach it."""

    proxy: str
    #: Path of the certificate of the site's authority.
    authority: Path
    #: Requests that the proxy took: host and port.
    connected: list[str]

    @property
    def environment(self) -> dict[str, str]:
        """What a builder that uses it has in its environment."""
        return {"HTTPS_PROXY": self.proxy, "SSL_CERT_FILE": str(self.authority)}


@contextmanager
def mirror(directory: Path, trees: dict[str, Path], demands: Demands = NOTHING) -> Iterator[Mirror]:
    """Serve each tree below its name, to those who meet the *demands*."""
    own = _certify(directory)
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Site, trees=trees, demands=demands))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    if demands.certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(directory / "authority.pem")
    site.socket = context.wrap_socket(site.socket, server_side=True)
    connected: list[str] = []
    way_in = functools.partial(_Proxy, port=site.server_port, connected=connected)
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), way_in)
    for server in (site, proxy):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Mirror(f"http://127.0.0.1:{proxy.server_port}", directory / "authority.pem", connected)
    finally:
        for server in (proxy, site):
            server.shutdown()
            server.server_close()


class _Site(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *given: t.Any, trees: dict[str, Path], demands: Demands) -> None:
        self._trees = trees
        login = base64.b64encode(demands.login.encode()).decode()
        self._expected = f"Basic {login}" if demands.login else None
        self._top = f"/t/{demands.token}/" if demands.token else "/"
        super().__init__(*given)

    def translate_path(self, path: str) -> str:
        name, _slash, rest = path.removeprefix(self._top).lstrip("/").partition("/")
        self.directory = str(self._trees.get(name, "/nowhere"))
        return super().translate_path(rest)

    def send_head(self) -> t.Any:
        if self._expected and self.headers.get("Authorization") != self._expected:
            self.send_error(401)
            return None
        if not self.path.startswith(self._top):
            self.send_error(403)
            return None
        return super().send_head()

    def log_message(self, *_unused: t.Any) -> None:
        pass


class _Proxy(http.server.BaseHTTPRequestHandler):
    def __init__(self, *given: t.Any, port: int, connected: list[str]) -> None:
        self._port = port
        self._connected = connected
        super().__init__(*given)

    def do_CONNECT(self) -> None:
        self._connected.append(self.path)
        if self.path != f"{NAME}:443":
            self.send_error(502)
            return
        with socket.create_connection(("127.0.0.1", self._port)) as site:
            self.send_response(200)
            self.end_headers()
            _join(self.connection, site)

    def log_message(self, *_unused: t.Any) -> None:
        pass


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either says until one has nothing more to say."""
    others = {one: other, other: one}
    try:
        while ready := select.select(list(others), [], [], 60)[0]:
            for speaking in ready:
                data = speaking.recv(1 << 16)
                if not data:
                    return
                others[speaking].sendall(data)
    except ConnectionError:
        pass


def _certify(directory: Path) -> Path:
    """Write authority.pem, and return the path of the mirror's own certificate with its key."""
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("authority", "mirror", "client")}
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the site")])
    site = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    root = _certificate(authority, authority, keys["authority"]).add_extension(x509.BasicConstraints(True, None), True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(keys["authority"].public_key())
    root = root.add_extension(identifier, False)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = root.add_extension(usage, True)
    leaf = _certificate(site, authority, keys["mirror"])
    leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["authority"].public_key())
    leaf = leaf.add_extension(issuer, False)
    client = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Builder of the site")])
    person = _certificate(client, authority, keys["client"]).add_extension(issuer, False)
    for name, builder in (("authority", root), ("mirror", leaf), ("client", person)):
        signed = builder.sign(keys["authority"], hashes.SHA256()).public_bytes(Encoding.PEM)
        secret = keys[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / f"{name}.pem").write_bytes(signed if name == "authority" else signed + secret)
    return directory / "mirror.pem"


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - day).not_valid_after(now + day)
