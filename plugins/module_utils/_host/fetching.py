# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Fetch a bundle's pieces from a web server of the site into the stream of what arrives; what was cut goes on."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Piece
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Offer, Source

#: Seconds without a byte.
TIMEOUT = 30.0
#: How often it is tried again in a row without a byte in between, and seconds before each.
RETRIES = 4
RETRY = 1.0

_CHUNK = 1 << 20
#: What a server says of a request that another try will not change.
_REFUSED = {401: "the login is refused", 403: "the server does not hand it out", 404: "it is not there"}
_NO_HEAD = (405, 501)
#: What a connection that breaks raises; C(URLError) is one of them, and C(HTTPError) of these.
_CUT = (OSError, http.client.HTTPException)


class Site:
    """One web server, asked as the order says."""

    stored = True
    divisible = False

    def __init__(self, source: Source, offer: Offer) -> None:
        self._source = source
        self._offer = offer

    def findings(self) -> t.Iterator[str]:
        """Yield why the archive cannot be taken from here, as far as can be told without reading it."""
        kind = list(self._offer.pieces)[-1]
        piece = self._offer.pieces[kind]
        try:
            with self._answer(piece, "HEAD") as answer:
                _check_size(self._url(piece), piece, answer.headers.get("Content-Length"))
        except urllib.error.HTTPError as error:
            if error.code not in _NO_HEAD:
                reason = _REFUSED.get(error.code, "it does not answer as a server of files does")
                yield f"cannot fetch {self._url(piece)}: {reason} (HTTP status {error.code})"
        except _CUT as error:
            yield f"cannot reach {self._url(piece)}: {_reason(error)}"
        except DeployError as error:
            yield str(error)

    def take(self, incoming: Incoming, progress: Progress) -> Incoming:
        """Bring what *incoming* lacks; C(DeployError) for what does not come, or is not what the controller offers."""
        start = 0
        for piece in self._offer.pieces.values():
            if incoming.received < start + piece.size:
                self._fetch_piece(piece, start, incoming, progress)
            start += piece.size
        return incoming

    def _fetch_piece(self, piece: Piece, start: int, incoming: Incoming, progress: Progress) -> None:
        digest = hashlib.sha256()
        # What came before a cut was not verified yet.
        for chunk in incoming.chunks(start):
            digest.update(chunk)
        tries = 0
        while incoming.received < start + piece.size:
            before = incoming.received
            try:
                self._go_on(piece, start, incoming, digest, progress)
                reason = "it ends too early"
            except urllib.error.HTTPError as error:
                if error.code in _REFUSED:
                    reason = _REFUSED[error.code]
                    raise DeployError(f"cannot fetch {self._url(piece)}: {reason} (HTTP status {error.code})") from None
                reason = f"HTTP status {error.code}"
            except _CUT as error:
                reason = _reason(error)
            tries = 0 if incoming.received > before else tries + 1
            if tries > RETRIES:
                raise DeployError(f"cannot fetch {self._url(piece)}: {reason}; what has arrived is kept, run again")
            if incoming.received < start + piece.size:
                time.sleep(RETRY * tries)
        if digest.hexdigest() != piece.sha256:
            incoming.truncate(start)
            raise DeployError(
                f"{self._url(piece)} is not what the controller offers (another sha256); it is refused,"
                " copy the bundle there again"
            )

    def _go_on(self, piece: Piece, start: int, incoming: Incoming, digest: hashlib._Hash, progress: Progress) -> None:
        """Append what one answer brings of *piece*."""
        done = incoming.received - start
        with self._answer(piece, "GET", done) as answer:
            length = answer.headers.get("Content-Length")
            if answer.status == http.client.PARTIAL_CONTENT:
                _check_size(self._url(piece), piece, (answer.headers.get("Content-Range") or "").rpartition("/")[2])
            else:
                _check_size(self._url(piece), piece, length)
                _skip(answer, done)
            while done < piece.size:
                chunk = answer.read(min(_CHUNK, piece.size - done))
                if not chunk:
                    return
                incoming.extend(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress.size("fetching", start + done, self._offer.size)

    def _answer(self, piece: Piece, method: str, offset: int = 0) -> t.ContextManager[t.Any]:
        request = urllib.request.Request(self._url(piece), method=method)
        request.add_header("User-Agent", "airgap.conda")
        if offset:
            request.add_header("Range", f"bytes={offset}-")
        if self._source.username or self._source.password:
            login = f"{self._source.username}:{self._source.password}".encode()
            # Not for an address to which the server redirects.
            request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(login).decode('ascii')}")
        return contextlib.closing(self._opener().open(request, timeout=TIMEOUT))

    def _opener(self) -> urllib.request.OpenerDirector:
        opener = urllib.request.OpenerDirector()
        proxy = self._source.proxy
        for handler in (
            # Without a proxy, one that keeps those of the environment out.
            urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
            *self._secure(),
        ):
            opener.add_handler(handler)
        return opener

    def _secure(self) -> t.Iterator[urllib.request.BaseHandler]:
        """Yield what speaks https, if this host's Python can; its library may lack what that needs."""
        try:
            import ssl
        except ImportError:
            return
        try:
            yield urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self._source.ca_path or None))
        except OSError as error:
            raise DeployError(
                f"{self._source.ca_path} holds no certificates that can be used (env_deploy_source_ca_path):"
                f" {error.strerror or error}"
            ) from None

    def _url(self, piece: Piece) -> str:
        path = f"{self._offer.label}/{piece.file}"
        return f"{self._source.url.rstrip('/')}/{urllib.parse.quote(path)}"


def _check_size(url: str, piece: Piece, stated: str | None) -> None:
    """Raise C(DeployError) where a server states another size than the controller offers; some state none."""
    if stated and stated.isdigit() and int(stated) != piece.size:
        raise DeployError(f"{url} has {stated} bytes, the controller's {piece.size}; copy the bundle there again")


def _skip(answer: t.Any, size: int) -> None:
    """Pass over what is here already, as this server knows no ranges."""
    while size and (chunk := answer.read(min(_CHUNK, size))):
        size -= len(chunk)


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(error).__name__
