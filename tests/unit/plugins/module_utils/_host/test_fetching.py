# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real server on this machine, which serves, cuts, refuses and redirects."""

from __future__ import annotations

import base64
import contextlib
import http.server
import re
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import fetching
from ansible_collections.airgap.conda.plugins.module_utils._host.fetching import Site
from ansible_collections.airgap.conda.plugins.module_utils._host.incoming import Incoming
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import SOURCE_URL, Source
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.test_incoming import DATA, OFFER, STREAM

OFFERED = OFFER._replace(label="ml-linux-64-cccccccccccc")


class Server(http.server.ThreadingHTTPServer):
    """Serves C(DATA), as a test wants it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {f"/dist/{OFFERED.label}/{name}": data for name, data in DATA.items()}
        #: Bytes after which the next answers are cut.
        self.cuts: list[int] = []
        self.ranges = True
        self.heads = True
        self.login = ""
        #: Where to, instead of answering.
        self.moved = ""
        self.asked: list[tuple[str, str, str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        server, wanted = self.server, self.headers.get("Range", "")
        login = self.headers.get("Authorization", "")
        server.asked.append((self.command, self.path, wanted, login))
        data = server.files.get(self.path)
        if server.moved:
            self.send_response(302)
            self.send_header("Location", server.moved + self.path)
            self.end_headers()
        elif server.login and login != "Basic " + base64.b64encode(server.login.encode()).decode():
            self.send_error(401)
        elif data is None:
            self.send_error(404)
        elif not with_body and not server.heads:
            self.send_error(405)
        else:
            self._send(data, wanted if server.ranges else "", with_body)

    def _send(self, data: bytes, wanted: str, with_body: bool) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", wanted)
        start = int(found[1]) if found else 0
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if with_body:
            cut = self.server.cuts.pop(0) if self.server.cuts and len(data) > 100 else len(data)
            self.wfile.write(data[start:][:cut])

    def log_message(self, *unused: t.Any) -> None:
        pass


@contextlib.contextmanager
def serving() -> t.Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Server]:
    monkeypatch.setattr(fetching, "RETRY", 0)
    with serving() as started:
        yield started


@pytest.fixture
def incoming(tmp_path: Path) -> Incoming:
    store = Store(str(tmp_path / "envs"), "ml")
    store.create()
    return Incoming(store, OFFERED)


def site(server: Server, **source: str) -> Site:
    return Site(Source(type=SOURCE_URL, **{"url": f"{server.address}/dist/", **source}), OFFERED)


def stream(incoming: Incoming) -> bytes:
    return b"".join(incoming.chunks(0))


def take(site: Site, incoming: Incoming) -> None:
    site.take(incoming, Progress())


def test_all_pieces_are_brought_in_order(server: Server, incoming: Incoming) -> None:
    assert list(site(server).findings()) == []
    take(site(server), incoming)
    assert incoming.complete and stream(incoming) == STREAM
    asked = len(server.asked)
    take(site(server), incoming)
    assert len(server.asked) == asked


@pytest.mark.parametrize("ranges", [True, False])
def test_what_is_cut_goes_on(server: Server, incoming: Incoming, ranges: bool) -> None:
    server.cuts, server.ranges = [1000, 1, 0, 2500], ranges
    take(site(server), incoming)
    assert stream(incoming) == STREAM
    wanted = [wanted for _method, path, wanted, _login in server.asked if path.endswith("archive")]
    if ranges:
        assert wanted == ["", "bytes=1000-", "bytes=1001-", "bytes=1001-", "bytes=3501-"]


@pytest.mark.parametrize("arrived", [1, 20, 1000, len(STREAM) - 1])
def test_a_later_run_goes_on_where_an_earlier_one_stopped(server: Server, incoming: Incoming, arrived: int) -> None:
    incoming.extend(STREAM[:arrived])
    take(site(server), incoming)
    assert stream(incoming) == STREAM


def test_a_server_that_does_not_answer_is_given_up(server: Server, incoming: Incoming) -> None:
    server.cuts = [0] * 50
    with pytest.raises(DeployError, match=r"archive: it ends too early; what has arrived is kept, run again$"):
        take(site(server), incoming)
    assert incoming.received == len(STREAM) - len(DATA["archive"])
    server.cuts = []
    take(site(server), incoming)
    assert incoming.complete


def test_no_server_is_no_traceback(incoming: Incoming) -> None:
    with serving() as ended:
        gone = site(ended)
    (finding,) = gone.findings()
    assert re.match("cannot reach http://127.0.0.1:.*/archive: .*refused", finding)


def test_what_is_not_as_offered_is_refused_and_taken_back(server: Server, incoming: Incoming) -> None:
    path = f"/dist/{OFFERED.label}/archive"
    server.files[path] = bytes(len(DATA["archive"]))
    with pytest.raises(DeployError, match=r"another sha256.*it is refused, copy the bundle there again$"):
        take(site(server), incoming)
    assert incoming.received == len(STREAM) - len(DATA["archive"])
    server.files[path] = DATA["archive"] + b"more"
    with pytest.raises(DeployError, match=r"has 5124 bytes, the controller's 5120; copy the bundle there again$"):
        take(site(server), incoming)
    assert "has 5124 bytes" in next(site(server).findings())


def test_what_arrived_damaged_before_a_cut_is_noticed(server: Server, incoming: Incoming) -> None:
    incoming.extend(STREAM[:1000].replace(bytes([7, 8, 9]), b"xyz"))
    with pytest.raises(DeployError, match=r"another sha256"):
        take(site(server), incoming)
    take(site(server), incoming)
    assert stream(incoming) == STREAM


def test_a_missing_file_and_a_login(server: Server, incoming: Incoming) -> None:
    server.login = "ann:s3cret"
    assert "the login is refused (HTTP status 401)" in next(site(server).findings())
    with pytest.raises(DeployError, match="the login is refused") as refused:
        take(site(server, username="ann", password="s3cre"), incoming)
    assert "s3cre" not in str(refused.value)
    take(site(server, username="ann", password="s3cret"), incoming)
    assert incoming.complete
    server.files.clear()
    finding = next(site(server, username="ann", password="s3cret").findings())
    assert finding.endswith("it is not there (HTTP status 404)")


def test_a_server_that_knows_no_head_is_asked_when_it_matters(server: Server) -> None:
    server.heads = False
    assert list(site(server).findings()) == []


def test_a_login_is_not_told_to_where_the_server_redirects(server: Server, incoming: Incoming) -> None:
    with serving() as other:
        server.moved = other.address
        take(site(server, username="ann", password="s3cret"), incoming)
        assert incoming.complete
        assert {login for *_rest, login in other.asked} == {""}
        assert "" not in {login for *_rest, login in server.asked}


def test_no_proxy_unless_it_is_named(server: Server, incoming: Incoming, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        proxy.files = {f"{server.address}/dist/{OFFERED.label}/{name}": data for name, data in DATA.items()}
        monkeypatch.setenv("http_proxy", proxy.address)
        assert list(site(server).findings()) == []
        assert proxy.asked == []
        take(site(server, proxy=proxy.address), incoming)
    assert incoming.complete and len(proxy.asked) == 3


def test_only_the_web_is_followed(server: Server, incoming: Incoming, tmp_path: Path) -> None:
    server.moved = f"file://{tmp_path}"
    with pytest.raises(DeployError):
        take(site(server), incoming)


def test_certificates_that_cannot_be_used_are_named(server: Server, incoming: Incoming, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    for make in (lambda: None, lambda: path.write_text("none")):
        make()
        with pytest.raises(DeployError, match=f"^{path} holds no certificates that can be used"):
            take(site(server, ca_path=str(path)), incoming)
