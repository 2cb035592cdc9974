# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What examples/ shows is run as it stands, on real hosts and against a real index."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from world import ansible, bundles, recipes, wheels
from world.ansible import Play, play
from world.fleet import Fleet, Host

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples"
PASSWORD = "pw-sekret"
LOGIN = "Basic " + base64.b64encode(f"builder:{PASSWORD}".encode()).decode()
ARM = "linux-aarch64"


def relabelled(bundle: Path, copy: Path) -> None:
    """A copy of a bundle that says it is for other machines: none are here, and only what is said decides."""
    shutil.copytree(bundle, copy)
    bundles.edit(copy, lambda manifest: manifest["needs"].update(platform=ARM))


class Site:
    """A person with a copy of examples/fleet and a fleet for it; its host edge1 is not there."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.fleet = fleet
        self.directory = Path(shutil.copytree(EXAMPLES / "fleet", directory / "site"))
        (self.directory / "dist").mkdir()

    def put(self, name: str, bundle: Path) -> None:
        """Make this the bundle of that name, for both platforms."""
        link = self.directory / f"dist/{name}-linux-64"
        link.unlink(missing_ok=True)
        link.symlink_to(bundle)
        shutil.rmtree(self.directory / f"dist/{name}-{ARM}", ignore_errors=True)
        relabelled(bundle, self.directory / f"dist/{name}-{ARM}")

    def rollout(self, **variables: object) -> Play:
        """Type the rollout; without bytecode, which takes most of the time."""
        inventories = ("-i", "inventory.yml", "-i", self.fleet.inventory, "-l", "!arm")
        given = json.dumps({"env_deploy_bytecode": False, **variables})
        return play("rollout.yml", *inventories, "-e", given, cwd=self.directory, home=self.directory)


@pytest.fixture
def site(fleet: Fleet, tmp_path: Path, earlier: Path, tools: Path) -> Iterator[Site]:
    made = Site(fleet, tmp_path)
    made.put("science", earlier)
    made.put("tools", tools)
    yield made
    for host in fleet.hosts:
        host.run("rm -rf /opt/conda /srv/envs /etc/conda /usr/local/bin/*")


def science(host: Host) -> str:
    """The live generation of science, and all that its store holds."""
    listing = (
        "cd /opt/conda/envs && cat science/conda-meta/airgap-generation && find .airgap/science | sort | sha256sum"
    )
    return host.run(listing).stdout


def test_each_host_gets_the_bundles_of_its_platform_and_a_canary_goes_first(site: Site, example: Path) -> None:
    wrong = site.directory / "dist/tools-linux-64"
    right = wrong.readlink()
    wrong.unlink()
    wrong.symlink_to(f"tools-{ARM}")
    refused = site.rollout()
    assert refused.rc != 0 and "linux-64" in refused.output and ARM in refused.output, refused.output
    for host in site.fleet.hosts:
        assert host.run("ls -A /opt /srv").stdout.split() == ["/opt:", "/srv:"]
    site.put("tools", right)
    first = site.rollout()
    assert first.rc == 0 and first.changed == 3, first.output
    for host in site.fleet.hosts:
        host.run("/opt/conda/envs/science/bin/python -c 'import pandas'")
        host.run("/usr/local/bin/python3.11 -c 'import six'")
        # both bundles have the same content; the host keeps the manifest of the one it chose
        kept = host.run("cat /opt/conda/envs/.airgap/science/manifests/*").stdout
        assert json.loads(kept)["needs"]["platform"] == "linux-64"
    assert site.rollout().changed == 0

    # A canary that is not well keeps the rollout from all others.
    before = {host.name: (science(host), host.interface_bytes()) for host in site.fleet.hosts}
    site.put("science", example)
    failed = site.rollout(env_deploy_health={"commands": ["echo no luck; exit 3"]})
    assert failed.rc != 0 and "no luck" in failed.output, failed.output
    assert set(failed.recap) == {"host1"} and failed.recap["host1"]["failed"] == 1
    canary, *others = site.fleet.hosts
    shown = canary.run("/opt/conda/envs/science/bin/python -c 'import pandas; print(pandas.__version__)'").stdout
    assert shown.strip() == "1.5.2"
    for host in others:
        assert science(host) == before[host.name][0]
        assert host.interface_bytes()[0] - before[host.name][1][0] < 10_000
    upgraded = site.rollout()
    assert upgraded.rc == 0 and upgraded.changed == 3, upgraded.output


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index for those who log in."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == LOGIN:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *unused: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of an index that holds attrs."""
    (tmp_path / "index/simple/attrs").mkdir(parents=True)
    (wheel,) = (each for each in recipes.WHEELS if (each.name, each.version) == ("attrs", "23.1.0"))
    shutil.copy(wheels.find(wheels.ensure(), wheel), tmp_path / "index/simple/attrs")
    handler = functools.partial(Index, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


@contextmanager
def command_lines() -> Iterator[set[bytes]]:
    """Every command line of this machine that is seen until the block ends, looked at all the time."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(path.read_bytes())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


@pytest.fixture
def build(tmp_path: Path, channel: str, index: str) -> Callable[[str], Play]:
    """What builds examples/private-index with a password, from a vault, and shows all that Ansible can show."""
    builder = Path(shutil.copytree(EXAMPLES / "private-index", tmp_path / "builder"))
    (tmp_path / "key").write_text("vault key")
    vault = ("--vault-password-file", str(tmp_path / "key"))

    def run(password: str) -> Play:
        login = {"index_host": "127.0.0.1", "index_user": "builder", "index_password": password}
        (builder / "login.yml").write_text(json.dumps(login))
        encrypt = [str(ansible.BIN / "ansible-vault"), "encrypt", *vault, "login.yml"]
        assert ansible.run(encrypt, cwd=builder, home=builder).rc == 0
        given = json.dumps({"index_url": index, "env_build_channels": [channel]})
        temporary = {"TMPDIR": str(builder / "tmp")}
        (builder / "tmp").mkdir(exist_ok=True)
        return play("build.yml", "-vvv", *vault, "-e", given, cwd=builder, home=builder, **temporary)

    return run


def test_the_password_of_an_index_opens_it_and_is_nowhere_else(build: Callable[[str], Play], tmp_path: Path) -> None:
    with command_lines() as seen:
        built = build(PASSWORD)
    assert built.rc == 0, built.output
    assert any(b"\0-m\0pip\0" in line and b"\0install\0" in line for line in seen), "nobody looked while pip ran"
    # What Ansible does with `environment`, and why the example puts no password there.
    assert any(b" NETRC=" in line or b"'NETRC=" in line for line in seen)
    assert not [line for line in seen if PASSWORD.encode() in line]
    assert PASSWORD not in built.output and LOGIN.split()[1] not in built.output
    bundle = (tmp_path / "builder/dist/private-linux-64").resolve()
    assert "attrs" in (bundle / "manifest.json").read_text()
    archive = subprocess.run(["zstd", "-dc", bundle / "archive.tar.zst"], capture_output=True, check=True).stdout
    files = subprocess.run(["gzip", "-dc", bundle / "files.jsonl.gz"], capture_output=True, check=True).stdout
    assert PASSWORD.encode() not in archive + files
    found = subprocess.run(["grep", "-rlaF", PASSWORD, tmp_path / "builder"], stdout=subprocess.PIPE, check=False)
    assert found.stdout == b""
    assert list((tmp_path / "builder/tmp").iterdir()) == []


def test_a_wrong_password_is_refused_and_not_shown(build: Callable[[str], Play], tmp_path: Path) -> None:
    refused = build("wr-sekret")
    assert refused.rc != 0 and "pip failed" in refused.output, refused.output
    assert "sekret" not in refused.output
    assert list((tmp_path / "builder/tmp").iterdir()) == []


def install(requirements: str, cwd: Path, into: Path) -> Path:
    """Where the collection is after somebody typed in this directory what installs from this file."""
    words = ["collection", "install", "--offline", "--force", "-r", requirements, "-p", str(into / "collections")]
    done = ansible.run([str(ansible.BIN / "ansible-galaxy"), *words], cwd=cwd, home=into)
    assert done.rc == 0, done.output
    return into / "collections/ansible_collections"


def test_a_site_installs_what_came_on_the_stick(tmp_path: Path) -> None:
    build = [str(ansible.BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(tmp_path), str(CHECKOUT)]
    assert ansible.run(build, cwd=tmp_path, home=tmp_path).rc == 0
    next(tmp_path.glob("airgap-conda-*.tar.gz")).rename(tmp_path / "airgap-conda.tar.gz")
    shutil.copy(EXAMPLES / "requirements.yml", tmp_path)
    found = install("requirements.yml", tmp_path, tmp_path)
    assert (found / "airgap/conda/plugins/modules/env_deploy.py").is_file()


def test_work_on_the_collection_needs_no_other(tmp_path: Path) -> None:
    found = install("requirements.yml", CHECKOUT, tmp_path)
    assert not found.exists()
    assert yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["dependencies"] == {}
